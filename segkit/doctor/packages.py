"""Installed packages: which are required, which belong to an extra, and how PyTorch was built."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from segkit.machine.system_files import text_of

MODULES = {
    "connected-components-3d": "cc3d",
    "hydra-core": "hydra",
    "pillow": "PIL",
    "pyjpegls": "jpeg_ls",
    "pyyaml": "yaml",
}
"""Module of a package whose name, in lower case, is another."""
FOR_DEVELOPERS = ("dev", "docs")
"""Extras that no user needs."""
_REQUIREMENT = re.compile(r"([\w.-]+)[^;]*(?:;.*?extra == ['\"]([\w-]+)['\"])?")


@dataclass(frozen=True)
class TorchBuild:
    """Version of PyTorch, and the CUDA it was built for."""

    version: str
    cuda: str
    """Version of CUDA, such as 12.8; "" for a build for CPUs or for GPUs of AMD."""
    hip: str = ""
    """Version of ROCm's HIP, for GPUs of AMD; "" for other builds."""


@dataclass(frozen=True)
class Packages:
    """Installed packages of segkit."""

    required: dict[str, str]
    """Version of each package that segkit always needs; "" where it is missing."""
    extras: dict[str, dict[str, str]]
    """The same for the packages of each extra."""
    torch: TorchBuild | None
    """None if PyTorch is not installed."""


def packages(distribution: str = "segkit") -> Packages:
    """Return the packages, without importing any; none are required by an uninstalled segkit."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        lines = []
    required: dict[str, str] = {}
    extras: dict[str, dict[str, str]] = {}
    for name, extra in requirements(lines):
        if extra not in FOR_DEVELOPERS:
            (extras.setdefault(extra, {}) if extra else required)[name] = _version(name)
    return Packages(required, extras, torch_build())


def requirements(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the name and the extra ("" for none) of each requirement of a package.

    >>> requirements(["numpy<3,>=1.26", "pydicom>=3; extra == 'dicom'"])
    [('numpy', ''), ('pydicom', 'dicom')]
    """
    found = [_REQUIREMENT.match(line) for line in lines]
    return [(match[1], match[2] or "") for match in found if match]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def torch_build() -> TorchBuild | None:
    """Return the build of PyTorch from its version file; importing it would take seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return build_of(text_of(Path(spec.origin).with_name("version.py")))


def build_of(text: str) -> TorchBuild:
    """Return the build that torch/version.py states.

    >>> build_of("__version__ = '2.8.0+cu128'\\ncuda: Optional[str] = '12.8'")
    TorchBuild(version='2.8.0+cu128', cuda='12.8', hip='')
    """
    values = dict(re.findall(r"^(\w+)[^=\n]*= *'([^']*)'", text, re.MULTILINE))
    return TorchBuild(*(values.get(name, "") for name in ("__version__", "cuda", "hip")))
