"""Plan: all decisions about a network and its input.

Lengths are in mm (in px for pictures without spacing). Axes are X, Y, Z after the scan is
reoriented to the nearest RAS+ orientation. The plan lists the channels and groups of every
convolution, and networks are built from it as it is; a pruned or scaled network is therefore just
another plan. `segkit.plans.plan_file` reads and writes plan.json.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from segkit.labels.codes import SegmentCodes
from segkit.labels.scheme import membership, target_values
from segkit.plans.norm_catalogue import NormKind
from segkit.plans.ranges import DataRanges

FORMAT_VERSION = 1
LATER = ("regions", "ignore", "mirror_swaps", "training_poses", "harmonization")
"""Fields that older plan files lack; they enter the hash only if they differ from the default."""
LATER_OF_NETWORK = {"symmetry": None, "downsampling": "strided"}
"""Fields of the network that older plan files lack, with their defaults, which are not written."""
OPTIONAL = ("segments", "training")
"""Fields that influence neither training nor prediction and are not part of the hash."""
NOT_WRITTEN = (*OPTIONAL, "training_poses", "harmonization")
"""Fields that are not written if they are empty."""
LEFT_RIGHT = 0
"""Axis along which mirroring exchanges left and right: X."""

Downsampling = Literal["strided", "average"]
"""How a stage halves its input: see `NetworkPlan.downsampling`."""
Scheme = Literal["ct", "zscore", "none"]
"""Intensity normalization of a channel; see `ChannelPlan`."""


@dataclass(frozen=True)
class ChannelPlan:
    """Input channel and the normalization of its intensities.

    ``ct``: clip to [lower, upper], subtract mean, divide by std (statistics of the foreground of
    the whole dataset).
    ``zscore``: subtract the mean and divide by the standard deviation of the scan, computed inside
    its content (`segkit.preprocessing.orient_and_crop.content_mask`) if ``masked``.
    ``none``: leave the values unchanged.
    """

    name: str
    scheme: Scheme
    lower: float = 0.0
    upper: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    masked: bool = False


@dataclass(frozen=True)
class LayerPlan:
    """Convolution and the norm after it.

    ``voxels`` is the number of voxels per channel in its output for a training patch.
    """

    name: str
    channels: int
    norm: NormKind
    groups: int
    voxels: int


@dataclass(frozen=True)
class StagePlan:
    """Layers at one resolution.

    ``stride`` is the stride of the convolution into an encoder stage, or of the transposed
    convolution from the stage below into a decoder stage.
    """

    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]
    layers: tuple[LayerPlan, ...]


@dataclass(frozen=True)
class SymmetryPlan:
    """Symmetry of an equivariant network; ``group`` is a key of `segkit.plans.symmetry.SYMMETRIES`.

    ``axes`` are the axes (0 X, 1 Y, 2 Z) that it permutes and reverses, in ascending order.
    """

    group: str
    axes: tuple[int, ...]


@dataclass(frozen=True)
class NetworkPlan:
    """Network, stage by stage.

    The last encoder stage is the bottleneck; decoder stages are listed from deep to shallow.
    """

    name: str
    activation: str
    encoder: tuple[StagePlan, ...]
    decoder: tuple[StagePlan, ...]
    deep_supervision: bool = True
    symmetry: SymmetryPlan | None = None
    """Symmetry of an equivariant network; the channels of its layers count all orientations."""
    downsampling: Downsampling = "strided"
    """``strided``: the first convolution of an encoder stage has the stride of the stage.

    ``average``: its input is averaged over blocks of the stride instead, and the convolution has
    stride 1. At even sizes only this treats both ends of an axis alike.
    """

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """All layers, in the order in which data pass through them."""
        return tuple(layer for stage in (*self.encoder, *self.decoder) for layer in stage.layers)

    @property
    def divisor(self) -> tuple[int, int, int]:
        """Numbers of which the window size must be a multiple along X, Y and Z."""
        edges = [1, 1, 1]
        for stage in self.encoder:
            edges = [edge * stride for edge, stride in zip(edges, stage.stride, strict=True)]
        return (edges[0], edges[1], edges[2])

    def sizes(self, patch: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """Return the size (X, Y, Z) in voxels of every encoder stage, then of every decoder stage.

        Args:
            patch: size (X, Y, Z) of the input in voxels.
        """
        sizes, size = [], patch
        for stage in self.encoder:
            size = three([edge // step for edge, step in zip(size, stage.stride, strict=True)])
            sizes.append(size)
        for stage in self.decoder:
            size = three([edge * step for edge, step in zip(size, stage.stride, strict=True)])
            sizes.append(size)
        return sizes

    def for_patch(self, patch: tuple[int, int, int]) -> NetworkPlan:
        """Return the same network with the ``voxels`` of every layer for ``patch``.

        The numbers of groups are unchanged.
        """
        stages = [
            dataclasses.replace(
                stage,
                layers=tuple(
                    dataclasses.replace(layer, voxels=math.prod(size)) for layer in stage.layers
                ),
            )
            for stage, size in zip((*self.encoder, *self.decoder), self.sizes(patch), strict=True)
        ]
        split = len(self.encoder)
        return dataclasses.replace(
            self, encoder=tuple(stages[:split]), decoder=tuple(stages[split:])
        )


@dataclass(frozen=True)
class Plan:
    """All decisions for a dataset; see the module's docstring for units and axes."""

    name: str
    dims: Literal[2, 3]
    slice_axis: int | None
    """Axis perpendicular to the slices of a 2D network, of which a patch has one; None in 3D."""
    channels: tuple[ChannelPlan, ...]
    labels: dict[str, int]
    """Outputs of the network except background: name, and the value that is written for it."""
    spacing: tuple[float | None, float | None, float | None]
    """Voxel size of the network's grid; None keeps the voxel size of the scan along that axis."""
    unit: Literal["mm", "px"]
    patch: tuple[int, int, int]
    batch_size: int
    mirror_axes: tuple[int, ...]
    crop_to_content: bool
    """Crop the border where every channel has the constant value of the scan's corners."""
    network: NetworkPlan
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Values of the label files that make up each label, if labels overlap (sigmoid outputs)."""
    ignore: int | None = None
    """Value in the label files of voxels that are not annotated."""
    reasons: dict[str, str] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    """Packages that are needed in addition to segkit: {"network": "package==version"}."""
    format_version: int = FORMAT_VERSION
    mirror_swaps: tuple[tuple[str, str], ...] = ()
    """Pairs of labels, left and right, whose names are exchanged by mirroring along LEFT_RIGHT."""
    segments: dict[str, SegmentCodes] = field(default_factory=dict)
    """Coded terms and colors of some or all labels, for DICOM output only."""
    training: DataRanges | None = None
    """Ranges over the training data, for warnings only; older plans lack them."""
    training_poses: SymmetryPlan | None = None
    """Group of which a random element moves every training patch, until the last step."""
    harmonization: dict[str, Any] | None = None
    """Fitted harmonization of the intensities, applied before they are normalized, in the JSON
    types of `segkit.harmonization.model_file`; None leaves them as they are."""

    @property
    def label_values(self) -> tuple[int, ...]:
        """Value in label maps of every network output: background, then the labels in order.

        With regions there is no output for background.
        """
        return tuple(self.labels.values()) if self.regions else (0, *self.labels.values())

    @property
    def targets(self) -> dict[str, int]:
        """Name and value in label files of the training classes, whose indices are 1, 2, ...

        A voxel with the value ``ignore`` has the index after the last one.
        """
        return target_values(self.labels, self.regions)

    @property
    def membership(self) -> list[list[bool]]:
        """Table of whether each label or region (row) contains each class index (column).

        The first column is background.
        """
        return membership(self.labels, self.regions)

    @property
    def mirrored_outputs(self) -> tuple[int, ...]:
        """Index of the output that each network output becomes when left and right are mirrored."""
        names = ["", *self.labels]
        partner = {one: other for pair in self.mirror_swaps for one, other in (pair, pair[::-1])}
        return tuple(names.index(partner.get(name, name)) for name in names)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in JSON types, without the fields of NOT_WRITTEN that are empty."""
        content = self._content()
        content["segments"] = {name: codes.to_json() for name, codes in self.segments.items()}
        return {name: value for name, value in content.items() if value or name not in NOT_WRITTEN}

    def hash(self) -> str:
        """Return twelve hex digits over all fields that influence training or prediction.

        The order of the labels counts, because it is the order of the network's outputs.
        """
        content = self._content() | {"labels": list(self.labels.items())}
        for name in ("reasons", "needs", *OPTIONAL, *(name for name in LATER if not content[name])):
            del content[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _content(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        for name, default in LATER_OF_NETWORK.items():
            if content["network"][name] == default:
                del content["network"][name]
        return content


def three(values: Sequence[int]) -> tuple[int, int, int]:
    """Return three numbers, for X, Y and Z, as a tuple.

    Raises:
        ValueError: there are more or fewer numbers.
    """
    x, y, z = values
    return (x, y, z)
