"""Facts about an image and its model that descriptors are made of."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

from segkit._version import __version__
from segkit.bundle.card import ModelCard
from segkit.errors import UsageError, first_few
from segkit.units import size_text

OWN_SHARE = 0.9
"""Part of the memory that the platform grants which segkit may take; the rest is a margin."""
LEAST_MEMORY = 1 << 30
"""Bytes below which a descriptor is refused: Python, PyTorch and a small model need them."""
NAMED_LABELS = 12
"""Number of labels that a description names."""


_TAGGED = re.compile(r"[^\s:]\S*(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})")
"""Pattern of an image's name with a tag, which XNAT asks for, or with a digest."""

_PLAIN = re.compile(r"\w[\w.+-]*")
"""Pattern of a model's name without spaces and signs that have a meaning for a shell."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Image, model and resources of a descriptor."""

    image: str = f"segkit:{__version__}"
    """Name of the image, with its tag."""
    memory: int = 8_000_000_000
    """Bytes of memory that the platform shall grant."""
    gpu: bool = False
    """True asks the platform for one GPU."""
    card: ModelCard | None = None
    """Card of the model; None leaves the choice to the image."""
    model: str = ""
    """Name by which the image finds the model; empty without a model."""
    more: tuple[str, ...] = ()
    """Words that the platform's command line has in addition."""

    def __post_init__(self) -> None:
        if not _TAGGED.fullmatch(self.image):
            raise UsageError(
                f"--image {self.image}: give a tag as well, such as {self.image}:{__version__}"
            )
        if self.model and not _PLAIN.fullmatch(self.model):
            raise UsageError(
                f"-m: the name {self.model!r} cannot stand in a platform's command line; rename "
                "the model with letters, digits, '.', '_' and '-' only"
            )
        if self.memory < LEAST_MEMORY:
            raise UsageError(
                f"--memory: {size_text(self.memory)} is too little; give at least 1GiB"
            )

    @property
    def without_model(self) -> Facts:
        """The same facts, for a command line that does not name the model."""
        return dataclasses.replace(self, model="", card=None)

    @property
    def mebibytes(self) -> int:
        """Memory in whole MiB (2**20 bytes)."""
        return self.memory >> 20

    @property
    def name(self) -> str:
        """Name of the tool: segkit, and the model, if there is one."""
        return f"segkit-{self.model}" if self.model else "segkit"

    @property
    def description(self) -> str:
        """One sentence for people who choose among tools, and that it is for research only."""
        if self.card is None:
            what = "Segments scans with a segkit model"
        else:
            labels = first_few(list(self.card.plan.labels), NAMED_LABELS)
            what = f"Segments {labels}; model {self.card.name}, hash {self.card.hash}"
        return f"{what}. For research only, not a medical device."

    def command(self, platform: str) -> list[str]:
        """Return the command line that a platform starts, as words."""
        limit = f"{int(self.memory * OWN_SHARE) // 10**6}MB"
        chosen = ["-m", self.model] if self.model else []
        return ["segkit", "run-as", platform, "--max-memory", limit, *chosen, *self.more]


def json_text(content: Any) -> str:
    """Return content as JSON with an indent, as descriptors are printed."""
    return json.dumps(content, indent=2, ensure_ascii=False)
