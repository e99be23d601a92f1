"""Plan: everything that was decided about how a dataset is turned into a network's input, and the network itself.

A plan is a JSON file. Lengths are mm (or px for pictures without spacing); axes are X, Y, Z after the scan has been
turned to the nearest RAS+ orientation. A pruned or a scaled network is just another plan: channels and groups of every
convolution stand here, and networks read them without recomputing anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.labels.codes import SegmentCodes, segments_of_json
from segkit.labels.scheme import membership, target_values
from segkit.plans.ranges import DataRanges, ranges_of_json
from segkit.plans.rules import NormKind, Scheme, problems

FORMAT_VERSION = 1
LATER = ("regions", "ignore", "mirror_swaps")
"""Fields of a plan that older files lack: at their default they leave the hash as it was."""
OPTIONAL = ("segments", "training")
"""Fields that decide nothing, so that they are no part of the hash."""
REMEDY = "Compare it with what 'segkit plan DATASET' writes."
WRITER = "'segkit plan DATASET' writes one."
LEFT_RIGHT = 0
"""The axis that mirrors left and right: X."""


@dataclass(frozen=True)
class ChannelPlan:
    """One input channel and how its intensities are normalised.

    ``ct``: clip to [lower, upper], subtract mean, divide by std (numbers of the whole dataset's foreground).
    ``zscore``: mean and standard deviation of the scan itself, inside its non-background mask where ``masked``.
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
    """One convolution and the norm behind it. ``voxels`` is the number of voxels it sees on a training patch."""

    name: str
    channels: int
    norm: NormKind
    groups: int
    voxels: int


@dataclass(frozen=True)
class StagePlan:
    """Layers at one resolution. ``stride`` leads into an encoder stage, and up out of the stage below a decoder one."""

    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]
    layers: tuple[LayerPlan, ...]


@dataclass(frozen=True)
class NetworkPlan:
    """A network, block by block. The last encoder stage is the bottleneck; decoder stages go from deep to shallow."""

    name: str
    activation: str
    encoder: tuple[StagePlan, ...]
    decoder: tuple[StagePlan, ...]
    deep_supervision: bool = True

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """Every normalised layer, in the order in which data passes it."""
        return tuple(layer for stage in (*self.encoder, *self.decoder) for layer in stage.layers)

    @property
    def divisor(self) -> tuple[int, int, int]:
        """A window's edge along each axis must be a multiple of this."""
        edges = [1, 1, 1]
        for stage in self.encoder:
            edges = [edge * stride for edge, stride in zip(edges, stage.stride, strict=True)]
        return (edges[0], edges[1], edges[2])

    def sizes(self, patch: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """Voxels (X, Y, Z) of every encoder stage, then of every decoder stage, on ``patch``."""
        found, size = [], patch
        for stage in self.encoder:
            size = _three([edge // step for edge, step in zip(size, stage.stride, strict=True)])
            found.append(size)
        for stage in self.decoder:
            size = _three([edge * step for edge, step in zip(size, stage.stride, strict=True)])
            found.append(size)
        return found

    def on(self, patch: tuple[int, int, int]) -> NetworkPlan:
        """The same network with every layer's ``voxels`` as they are on ``patch``; groups stay."""
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
    """What was decided for a dataset; see the module's text for units and axes."""

    name: str
    dims: Literal[2, 3]
    slice_axis: int | None
    """The axis across which a 2D network cuts; None in 3D. The patch is 1 voxel thick along it."""
    channels: tuple[ChannelPlan, ...]
    labels: dict[str, int]
    """Every output of the network but background: its name, and the value that is written for it."""
    spacing: tuple[float | None, float | None, float | None]
    """Voxel edges of the network's grid; None leaves that axis as the scan has it."""
    unit: Literal["mm", "px"]
    patch: tuple[int, int, int]
    batch_size: int
    mirror_axes: tuple[int, ...]
    crop_to_content: bool
    """Cut away the border where every channel has the constant value of the scan's corners."""
    network: NetworkPlan
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Where the labels overlap: for each the values of the label files that it is made of. The outputs are sigmoids."""
    ignore: int | None = None
    """Value in the label files of voxels that nobody has annotated."""
    reasons: dict[str, str] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    """What must be installed beside segkit: {"network": "package==version"} where another package offers it."""
    format_version: int = FORMAT_VERSION
    mirror_swaps: tuple[tuple[str, str], ...] = ()
    """Pairs of labels, left and right of one thing, that change names where the axis LEFT_RIGHT is mirrored."""
    segments: dict[str, SegmentCodes] = field(default_factory=dict)
    """Coded terms and colours of labels, for DICOM; not of all of them, and decides nothing."""
    training: DataRanges | None = None
    """Ranges over the training data; older plans lack them, and they decide nothing."""

    @property
    def label_values(self) -> tuple[int, ...]:
        """Value in the files of every network output: background first, then the labels in their order.

        Regions have no output for background.
        """
        return tuple(self.labels.values()) if self.regions else (0, *self.labels.values())

    @property
    def targets(self) -> dict[str, int]:
        """Name and value of what is told apart in the label files, in the order of the indices 1, 2 ... of a target.

        A voxel with the value ``ignore`` has the index after the last.
        """
        return target_values(self.labels, self.regions)

    @property
    def membership(self) -> list[list[bool]]:
        """Which target indices (columns, background first) each label or region (rows) holds."""
        return membership(self.labels, self.regions)

    @property
    def mirrored_outputs(self) -> tuple[int, ...]:
        """For every network output, the output that it is once left and right are mirrored."""
        names = ["", *self.labels]
        partner = {one: other for pair in self.mirror_swaps for one, other in (pair, pair[::-1])}
        return tuple(names.index(partner.get(name, name)) for name in names)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types. Optional fields are left out where they are empty."""
        content = dataclasses.asdict(self)
        content["segments"] = {name: codes.to_json() for name, codes in self.segments.items()}
        return {name: value for name, value in content.items() if value or name not in OPTIONAL}

    def hash(self) -> str:
        """Twelve hex digits over what decides something; the order of the labels, that of the outputs, counts."""
        content = dataclasses.asdict(self) | {"labels": list(self.labels.items())}
        for name in ("reasons", "needs", *OPTIONAL, *(name for name in LATER if not content[name])):
            del content[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @staticmethod
    def from_dict(content: dict[str, Any], where: str | Path = "plan") -> Plan:
        """Build a plan from JSON types, lifting older formats.

        Raises:
            InputError: a newer format, a missing or unknown key, or a value of the wrong type.
        """
        return _plan(upgrade(content, where), where)


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From format n to n + 1, each a pure function of a dict."""


def upgrade(content: dict[str, Any], where: str | Path) -> dict[str, Any]:
    """Lift ``content`` to FORMAT_VERSION."""
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise InputError(
            where,
            expected="a whole number under 'format_version'",
            found=repr(version),
            remedy="Is this a plan of segkit?",
        )
    if version > FORMAT_VERSION:
        raise InputError(
            where,
            expected=f"plan format {FORMAT_VERSION} or older",
            found=f"format {version}",
            remedy="It was written by a newer segkit: update segkit to read it.",
        )
    while version < FORMAT_VERSION:
        content = UPGRADES[version](content)
        version = content["format_version"]
    return content


def read_plan(path: str | Path) -> Plan:
    """Read plan.json.

    Raises:
        InputError: no such file, not JSON, or not a plan.
    """
    return Plan.from_dict(read_json(path, expected="a plan as JSON", remedy=WRITER), path)


def plan_text(plan: Plan) -> str:
    """The text of plan.json."""
    return json.dumps(plan.to_dict(), indent=2, ensure_ascii=False) + "\n"


def _plan(content: dict[str, Any], where: str | Path) -> Plan:
    try:
        network = content["network"]
        plan = Plan(
            **{
                **content,
                "channels": tuple(ChannelPlan(**channel) for channel in content["channels"]),
                "spacing": tuple(content["spacing"]),
                "patch": tuple(content["patch"]),
                "mirror_axes": tuple(content["mirror_axes"]),
                "mirror_swaps": tuple(
                    (one, other) for one, other in content.get("mirror_swaps", ())
                ),
                "regions": {
                    name: tuple(values) for name, values in content.get("regions", {}).items()
                },
                "training": ranges_of_json(content.get("training")),
                "segments": segments_of_json(
                    f"{where}, segments", content.get("segments", {}), content["labels"]
                ),
                "network": NetworkPlan(
                    **{
                        **network,
                        "encoder": tuple(_stage(stage) for stage in network["encoder"]),
                        "decoder": tuple(_stage(stage) for stage in network["decoder"]),
                    }
                ),
            }
        )
        problem = next(problems(plan), None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            where,
            expected="the keys and types of a plan",
            found=f"{type(error).__name__}: {error}",
            remedy=REMEDY,
        ) from error
    if problem:
        raise InputError(
            where, expected="values that can be followed", found=problem, remedy=REMEDY
        )
    return plan


def _stage(content: dict[str, Any]) -> StagePlan:
    return StagePlan(
        kernel=_three(content["kernel"]),
        stride=_three(content["stride"]),
        layers=tuple(LayerPlan(**layer) for layer in content["layers"]),
    )


def _three(values: list[int]) -> tuple[int, int, int]:
    x, y, z = values
    return (x, y, z)
