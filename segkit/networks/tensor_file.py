"""Named tensors with a few facts in one safetensors file, which is read without unpickling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from segkit.errors import InputError
from segkit.files.atomic import atomic_path

_VERSION = "format_version"


@dataclass(frozen=True)
class TensorKind:
    """A kind of tensor file and the version of its format."""

    name: str
    """Name of the kind in the metadata and in messages."""
    version: int
    """Version of the format; files of newer versions are refused."""

    def pack(self, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
        """Return the content of a file with ``tensors`` and ``facts``."""
        metadata = {"kind": self.name, _VERSION: str(self.version), **facts}
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return safetensors.torch.save(on_cpu, metadata)

    def unpack(self, content: bytes, where: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors and the facts of a file's ``content``.

        Raises:
            InputError: another kind of file, a damaged one, or one of a newer version.
        """
        try:
            tensors, facts = safetensors.torch.load(content), _metadata(content)
        except (safetensors.SafetensorError, ValueError, LookupError, AttributeError) as error:
            raise self._other(where, str(error).partition("\n")[0]) from error
        if facts.get("kind") != self.name:
            raise self._other(where, f"a file of another kind ({facts.get('kind', 'no kind')})")
        version = facts.get(_VERSION, "")
        if not version.isdecimal() or int(version) > self.version:
            raise self._other(where, f"format {version or 'of no number'}")
        return tensors, facts

    def write(
        self, path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]
    ) -> None:
        """Write a file of this kind; a reader finds the old file or the whole new one."""
        content = self.pack(tensors, facts)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)

    def read(self, path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors and the facts of the file ``path``.

        Raises:
            InputError: no such file, or as `unpack`.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise self._other(path, error.strerror or str(error)) from error
        return self.unpack(content, path)

    def _other(self, where: str | Path, found: str) -> InputError:
        return InputError(
            where,
            expected=f"a {self.name} of segkit, format {self.version} or older",
            found=found,
            remedy="Use the file as segkit wrote it, and a segkit at least as new.",
        )


def content_hash(tensors: Mapping[str, Tensor], *facts: object) -> str:
    """Return twelve hex digits over names, types, shapes and values of tensors, and over facts."""
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in the header, which follows its length in 8 bytes."""
    length = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + length]).get("__metadata__", {}))
