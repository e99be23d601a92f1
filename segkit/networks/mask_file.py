"""Mask file: the masks of a network's kernels, its input channels, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkit.errors import InputError
from segkit.networks.masks import Masks, kept_and_total
from segkit.networks.tensor_file import TensorKind, content_hash

KIND = TensorKind("mask of a network", 1)
MASK = "mask.safetensors"
"""Name of the mask file in a run folder and in a bundle."""


@dataclass(frozen=True)
class MaskOrigin:
    """The training cases on which the weights were trained that a mask was made from."""

    dataset: str
    """Name of the dataset."""
    hash: str
    """Hash of the content of the dataset (`segkit.dataset.dataset.Dataset.content_hash`)."""
    training_cases: int
    """Number of training cases."""


@dataclass(frozen=True, eq=False)
class MaskFile:
    """Masks of a network, as a file holds them."""

    masks: dict[str, Tensor]
    """Mask of each kernel by name (`segkit.networks.masks`)."""
    channels: tuple[str, ...]
    """Names of the network's input channels, in the order of its first kernels; may be empty."""
    origin: MaskOrigin | None = None
    """Where the mask comes from; None in files of older versions, and of masks made by hand."""

    @property
    def hash(self) -> str:
        """Twelve hex digits over the masks and the names of the channels."""
        return content_hash(self.masks, self.channels)

    @property
    def density(self) -> float:
        """Kept share of the weights of the masked kernels."""
        kept, total = kept_and_total(self.masks)
        return kept / total

    def content(self) -> bytes:
        """Return the bytes of the file."""
        return KIND.pack(self.masks, self._facts())

    def write(self, path: str | Path) -> None:
        """Write the file."""
        KIND.write(path, self.masks, self._facts())

    def _facts(self) -> dict[str, str]:
        facts = {"channels": json.dumps(self.channels, ensure_ascii=False)}
        if self.origin is None:
            return facts
        return {**facts, "origin": json.dumps(asdict(self.origin), ensure_ascii=False)}


def write_mask(
    path: str | Path,
    masks: Masks,
    channels: Sequence[str] = (),
    *,
    origin: MaskOrigin | None = None,
) -> MaskFile:
    """Write masks to a file, and return what it holds.

    Args:
        path: the file, a .safetensors.
        masks: mask of each kernel by name.
        channels: names of the network's input channels; with them, a network of other channels can
            take the masks of those that it has.
        origin: where the masks come from.
    """
    file = MaskFile(
        {name: mask.bool().cpu() for name, mask in masks.items()}, tuple(channels), origin
    )
    file.write(path)
    return file


def read_mask(path: str | Path) -> MaskFile:
    """Read a mask file.

    Raises:
        InputError: no such file, another kind of file, a damaged one, or one of a newer version.
    """
    tensors, facts = KIND.read(path)
    return _checked(tensors, facts, path)


def mask_from(content: bytes, where: str | Path) -> MaskFile:
    """Return the masks in the ``content`` of the mask file ``where``.

    Raises:
        InputError: as `read_mask`.
    """
    return _checked(*KIND.unpack(content, where), where)


def _checked(tensors: dict[str, Tensor], facts: dict[str, str], where: str | Path) -> MaskFile:
    channels, others = _names(facts.get("channels", "[]")), "none" if not tensors else ""
    try:
        origin = _origin(facts.get("origin"))
    except (ValueError, TypeError):
        origin, others = None, "an origin that is not a dataset"
    if channels is None:
        others = "channels that are no names"
    for name, mask in tensors.items():
        if mask.dtype != torch.bool:
            others = f"{name} of another type"
    if others or channels is None:
        raise InputError(
            where,
            expected="one tensor of True and False for each kernel, names of channels, and a "
            "dataset as their origin or none",
            found=others,
            remedy="Use the file as segkit wrote it.",
        )
    in_order = {name: tensors[name] for name in sorted(tensors)}
    return MaskFile(in_order, tuple(channels), origin)


def _origin(text: str | None) -> MaskOrigin | None:
    """Return the origin in a JSON text, or None if there is no text.

    Raises:
        ValueError, TypeError: something else.
    """
    if text is None:
        return None
    origin = MaskOrigin(**json.loads(text))
    kinds: dict[str, Any] = {"dataset": str, "hash": str, "training_cases": int}
    if not all(isinstance(getattr(origin, name), kind) for name, kind in kinds.items()):
        raise ValueError(text)
    return origin


def _names(text: str) -> list[str] | None:
    """Return the list of names in a JSON text, or None if it is something else."""
    try:
        names = json.loads(text)
    except ValueError:
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else None
