"""Text of a plan: measurements of the dataset, decisions with their reasons, and the network."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from segkit.fingerprint.fingerprint import Fingerprint
from segkit.planning.norm_report import norm_report
from segkit.plans.norm_catalogue import has_groups
from segkit.plans.plan import ChannelPlan, LayerPlan, Plan, StagePlan

WIDTH = 100
AXES = "x: left to right, y: back to front, z: bottom to top"
PICTURE_AXES = "x: left to right, y: top to bottom"


def plan_table(plan: Plan, fingerprint: Fingerprint) -> str:
    """Return the measurements, the decisions with reasons and the network as text.

    Reasons are wrapped at about 100 characters.
    """
    parts = [
        _heading(f"Measured: {plan.name}"),
        _measured(fingerprint),
        "",
        *_columns(_label_rows(plan, fingerprint)),
        "",
        _heading("Decided"),
        *_decided(plan),
        "",
        _heading("Network"),
        *_columns(stage_rows(plan)),
    ]
    return "\n".join(line.rstrip() for line in parts)


def _heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _measured(fingerprint: Fingerprint) -> str:
    cases = fingerprint.cases
    labeled = sum(bool(case.labels) for case in cases)
    axes = AXES if fingerprint.unit == "mm" else PICTURE_AXES
    lines = [
        f"cases         {len(cases)}, of which {labeled} have labeled voxels",
        f"axes          {axes}",
        f"size          {_spread([case.shape for case in cases], 'voxels')}",
        f"spacing       {_spread([case.spacing for case in cases], fingerprint.unit)}",
    ]
    if any(case.cropped != case.shape for case in cases):
        content = _spread([case.cropped for case in cases], "voxels")
        lines.append(f"content       {content} inside the constant border")
    return "\n".join(lines)


def _spread(triples: Sequence[Sequence[float]], unit: str) -> str:
    """Return the median along each axis, and the range if the cases differ, as text."""
    table = np.array(triples, dtype=np.float64)
    text = f"{_times(np.median(table, axis=0))} {unit}"
    low, high = table.min(axis=0), table.max(axis=0)
    if np.allclose(low, high, rtol=1e-3):
        return text
    return f"{text} (median; from {_times(low)} to {_times(high)})"


def _label_rows(plan: Plan, fingerprint: Fingerprint) -> list[tuple[str, ...]]:
    """Return for each label its name, value, number of cases with it, and median volume."""
    unit = "ml" if fingerprint.unit == "mm" else "px"
    rows: list[tuple[str, ...]] = [("label", "value", "cases", f"typical volume ({unit})")]
    for name, value in plan.labels.items():
        volumes = [case.labels[name].volume for case in fingerprint.cases if name in case.labels]
        typical = np.median(volumes) / (1000 if unit == "ml" else 1) if volumes else 0.0
        rows.append((name, str(value), str(len(volumes)), f"{typical:.4g}"))
    return rows


def decided_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """Return the decisions of a plan as rows of name, value and reason."""
    reasons = plan.reasons
    return [
        (
            "slices",
            "3D" if plan.slice_axis is None else f"2D across {'xyz'[plan.slice_axis]}",
            reasons.get("slices", ""),
        ),
        ("spacing", f"{_times(plan.spacing)} {plan.unit}", reasons.get("spacing", "")),
        ("patch", f"{_times(plan.patch)}, batch {plan.batch_size}", reasons.get("patch", "")),
        *_label_decisions(plan),
        ("border", "cut away" if plan.crop_to_content else "kept", reasons.get("crop", "")),
        *(
            (f"channel {c.name}", _scheme(c), reasons.get(f"channel {c.name}", ""))
            for c in plan.channels
        ),
        (
            "mirroring",
            ", ".join("xyz"[axis] for axis in plan.mirror_axes) or "none",
            reasons.get("mirror", ""),
        ),
        ("network", plan.network.name, reasons.get("network", "")),
        *_symmetry(plan),
        *_harmonization(plan),
        *([("folds", "by group", reasons["folds"])] if "folds" in reasons else []),
    ]


def _harmonization(plan: Plan) -> list[tuple[str, str, str]]:
    if plan.harmonization is None:
        return []
    groups = len(plan.harmonization["scans"])
    value = plan.harmonization["method"] + (f", {groups} groups" if groups else "")
    return [("harmonized", value, plan.reasons.get("harmonization", ""))]


def _symmetry(plan: Plan) -> list[tuple[str, str, str]]:
    symmetry = plan.network.symmetry
    return [("symmetry", symmetry.group, plan.reasons.get("symmetry", ""))] if symmetry else []


def _decided(plan: Plan) -> list[str]:
    rows = decided_rows(plan)
    first, second = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    lines = []
    for name, value, reason in rows:
        wrapped = textwrap.wrap(reason, max(40, WIDTH - first - second)) or [""]
        for number, line in enumerate(wrapped):
            left = f"{name:<{first}}{value:<{second}}" if number == 0 else " " * (first + second)
            lines.append(left + line)
    return lines


def _label_decisions(plan: Plan) -> list[tuple[str, str, str]]:
    rows = [
        (
            f"region {name}",
            " + ".join(map(str, values)),
            f"Written as {plan.labels[name]}, over the regions before it.",
        )
        for name, values in plan.regions.items()
    ]
    if plan.ignore is not None:
        rows.append(
            ("ignored", str(plan.ignore), "Voxels with this value are taken as not annotated.")
        )
    return rows


def _scheme(channel: ChannelPlan) -> str:
    names = {"ct": "CT values", "zscore": "z-score", "none": "as it is"}
    return names[channel.scheme] + (" inside the content" if channel.masked else "")


def stage_rows(plan: Plan) -> list[tuple[str, ...]]:
    """Return a header, then one row for each stage of the encoder and of the decoder."""
    groups = {row.name: f"{row.groups} x {row.channels_per_group}" for row in norm_report(plan)}
    rows: list[tuple[str, ...]] = [
        (
            "stage",
            "voxels",
            "channels",
            "layers",
            "kernel",
            "stride",
            "norm",
            "groups x channels",
            "values per group",
        )
    ]
    network = plan.network
    names = [f"encoder {number}" for number in range(len(network.encoder) - 1)]
    names += ["bottleneck", *(f"decoder {number}" for number in range(len(network.decoder)))]
    for name, size, stage in zip(
        names, network.sizes(plan.patch), (*network.encoder, *network.decoder), strict=True
    ):
        rows.append(_stage_row(name, size, stage, groups))
    return rows


def _stage_row(
    name: str, size: Sequence[int], stage: StagePlan, groups: dict[str, str]
) -> tuple[str, ...]:
    layer = stage.layers[0]
    return (
        name,
        _times(size),
        _several(str(layer.channels) for layer in stage.layers),
        str(len(stage.layers)),
        _times(stage.kernel),
        _times(stage.stride),
        _several(layer.norm for layer in stage.layers),
        _several(groups[layer.name] for layer in stage.layers) if has_groups(layer.norm) else "-",
        _several(map(_pool, stage.layers)),
    )


def _pool(layer: LayerPlan) -> str:
    return str(layer.channels // layer.groups * layer.voxels) if has_groups(layer.norm) else "-"


def _several(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _times(values: Iterable[float | None]) -> str:
    return " x ".join("-" if value is None else f"{value:.4g}" for value in values)
