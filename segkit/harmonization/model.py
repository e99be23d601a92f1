"""Harmonization of scans: the curves of the groups, and how the group of a scan is found."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT_VERSION = 1
FEW_SCANS = 25
"""Number of scans of a group below which its curve is uncertain and a warning is given."""
TAGS = (
    *("Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "ProtocolName"),
    *("StationName", "DeviceSerialNumber", "InstitutionName", "SeriesDescription"),
    *("SoftwareVersions", "ReceiveCoilName", "ConvolutionKernel", "KVP", "SequenceName"),
)
"""DICOM attributes that may name a group; none of them says who the patient is."""
USUAL_TAGS = TAGS[:3]
"""DICOM attributes that name a group by default."""


@dataclass(frozen=True)
class GroupCurve:
    """Standardized quantiles of a group, shrunk towards those of all groups together."""

    scans: int
    """Number of training scans of the group."""
    weight: float
    """Weight of the group's own quantiles, from 0 (those of all scans) to 1."""
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class ChannelModel:
    """Fitted numbers of one channel; see `segkit.harmonization.methods` for each method."""

    name: str
    target: tuple[float, ...] = ()
    """Quantiles that scans are mapped to, at the probabilities of the method."""
    groups: Mapping[str, GroupCurve] = field(default_factory=dict)


@dataclass(frozen=True)
class Mixture:
    """Gaussian components of the logarithms of location and spread of a scan, one a group."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class Grouping:
    """How the group of a scan is found.

    ``none``: there are no groups. ``table``: a table or the dataset names it. ``dicom``: DICOM
    attributes name it. ``intensities``: the component of a mixture that fits the scan best.
    """

    source: str = "none"
    tags: tuple[str, ...] = ()
    mixture: Mixture | None = None


@dataclass(frozen=True)
class Harmonization:
    """A fitted harmonization of scans: method, curves, and number of training scans per group."""

    method: str
    channels: tuple[ChannelModel, ...]
    scans: Mapping[str, int] = field(default_factory=dict)
    """Number of training scans of each group; empty without groups."""
    grouping: Grouping = field(default_factory=Grouping)
    cases: str = ""
    """`cases_hash` of the training cases of the fold to which it was fitted; "" if unknown."""
    images: str = ""
    """Hash of the bytes of their images; "" if unknown."""
    groups: str = ""
    """Hash of the groups that a table gave them; "" without a table."""
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the harmonization in JSON types."""
        return dataclasses.asdict(self)


def cases_hash(ids: Iterable[str]) -> str:
    """Return 12 hex digits over the ids of cases, or other lines about them, in any order.

    A harmonization is shared with its model, and a case id may name a patient: so the hash is kept
    and not the ids.

    >>> cases_hash(["b", "a"]) == cases_hash(["a", "b"])
    True
    """
    text = "\n".join(sorted(ids))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
