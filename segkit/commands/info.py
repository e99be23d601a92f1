"""segkit info: what is this model, plan or scan?"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.bundle.card import ModelCard, bundle_place, open_card
from segkit.bundle.lookup import SUFFIX, ensemble, is_model, resolve_model
from segkit.commands.flags import Parser
from segkit.commands.info_study import CROSS_VALIDATION, SWEEP, study_facts, study_text
from segkit.errors import InputError, printable
from segkit.files.names import CARD, READABLE, listed, suffix_of
from segkit.io import open_source
from segkit.io.dicom.files.detection import is_dicom
from segkit.planning.norm_report import norm_report
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.preprocessing.orient import to_ras
from segkit.report.tables import text_table
from segkit.volume import Volume

NORM_COLUMNS = ("layer", "channels", "groups", "channels per group", "voxels", "pool", "equals")
SIZES = ("shape", "spacing", "patch")


def run(arguments: Sequence[str]) -> int:
    """Parse, look, print; returns the exit code."""
    given = _parser().parse_args(arguments)
    facts = _facts(given.what)
    if given.json:
        print(json.dumps(facts[0] if len(facts) == 1 else facts, indent=2, ensure_ascii=False))
    else:
        print(printable("\n\n".join(_text(each) for each in facts), lines=True))
    return 0


def _facts(what: str) -> list[dict[str, Any]]:
    """One entry, or one per model of an ensemble."""
    path = Path(what)
    if _is_scan(path):
        return [scan_facts(path)]
    if path.suffix.lower() == ".json" and path.name != CARD:
        plan = read_plan(path)
        return [{"kind": "plan", "path": what, **plan_facts(plan), "norms": norm_rows(plan)}]
    place = path.parent if path.name == CARD else resolve_model(what)
    if place.is_file() and place.suffix != SUFFIX and not zipfile.is_zipfile(place):
        raise _unknown(place)
    study = study_facts(place)
    if study and not is_model(place):
        return [study]
    facts = [model_facts(open_card(each)) for each in ensemble(place)]
    return [{**each, "study": study} for each in facts] if study else facts


def _unknown(path: Path) -> InputError:
    return InputError(
        path,
        expected=f"a model (a folder or {SUFFIX}), a plan (.json), DICOM, or a scan in one of the formats "
        f"{listed(READABLE)}",
        found=f"the suffix {suffix_of(path)!r}" if suffix_of(path) else "no suffix",
        remedy="Convert a scan of another format, for example to .nii.gz.",
    )


def _is_scan(path: Path) -> bool:
    if path.is_dir():
        return not (bundle_place(path) / CARD).is_file() and is_dicom(path)
    return suffix_of(path) in READABLE or is_dicom(path)


def scan_facts(path: Path) -> dict[str, Any]:
    """Geometry, type and range of values of a scan, in JSON types.

    Raises:
        InputError: the scan cannot be read.
    """
    source = open_source(path)
    grid = source.grid
    voxels = source.planes(0, grid.shape[2])
    return {
        "kind": "scan" if grid.unit == "mm" else "picture",
        "path": str(path),
        "shape": list(grid.shape),
        "channels": source.channels,
        "spacing": [round(edge, 6) for edge in grid.spacing],
        "unit": grid.unit,
        "orientation": orientation(Volume(voxels, grid.affine, grid.unit)),
        "dtype": str(source.dtype),
        "lowest": float(voxels.min()),
        "highest": float(voxels.max()),
        "mean": float(voxels.mean()),
    }


def orientation(volume: Volume) -> str:
    """Where the voxel axes point, such as ``LPS`` for left, posterior, superior; empty for a picture.

    >>> import numpy as np
    >>> orientation(Volume(np.zeros((1, 2, 2, 2)), np.diag([-1.0, -1.0, 1.0, 1.0])))
    'LPS'
    """
    if volume.unit == "px":
        return ""
    axis_map = to_ras(volume)[1]
    letters = [("LPI" if flip else "RAS")[axis] for axis, flip in enumerate(axis_map.flips)]
    return "".join(letters[axis_map.order.index(axis)] for axis in range(3))


def model_facts(model: ModelCard) -> dict[str, Any]:
    """Name, hashes, what goes in and comes out, and the figures of the training, in JSON types."""
    card = model.card
    keys = ("segkit", "dataset", "training", "metrics", "needs", "postprocessing", "bfloat16")
    known: dict[str, Any] = {key: card[key] for key in keys if key in card}
    facts = {
        key: value for key, value in plan_facts(model.plan).items() if key not in ("name", "hash")
    }
    return {
        "kind": "model",
        "path": str(model.path),
        "name": model.name,
        "created": model.created,
        "hash": model.hash,
        "plan": model.plan.hash(),
        "folds": list(model.folds),
        **facts,
        **known,
    }


def plan_facts(plan: Plan) -> dict[str, Any]:
    """What a plan decides, in JSON types."""
    return {
        "name": plan.name,
        "hash": plan.hash(),
        "dims": plan.dims,
        "channels": {channel.name: channel.scheme for channel in plan.channels},
        "labels": plan.labels,
        **(
            {"regions": {name: list(values) for name, values in plan.regions.items()}}
            if plan.regions
            else {}
        ),
        **({} if plan.ignore is None else {"ignore": plan.ignore}),
        **(
            {"segments": {name: codes.to_json() for name, codes in plan.segments.items()}}
            if plan.segments
            else {}
        ),
        "spacing": list(plan.spacing),
        "unit": plan.unit,
        "patch": list(plan.patch),
        "batch_size": plan.batch_size,
        "mirror_axes": list(plan.mirror_axes),
        "mirror_swaps": [" and ".join(pair) for pair in plan.mirror_swaps],
        "network": plan.network.name,
        "features": [stage.layers[-1].channels for stage in plan.network.encoder],
    }


def norm_rows(plan: Plan) -> list[dict[str, Any]]:
    """Every normalised layer: channels, groups, channels per group, voxels, pool size and what it equals."""
    return [dataclasses.asdict(row) for row in norm_report(plan)]


def _text(facts: Mapping[str, Any]) -> str:
    if facts["kind"] in (CROSS_VALIDATION, SWEEP):
        return study_text(facts)
    shown = {key: value for key, value in facts.items() if key not in ("norms", "study")}
    lines = [
        f"{key:<12} {_words(value, ' x ' if key in SIZES else ', ')}"
        for key, value in shown.items()
    ]
    if "norms" in facts:
        rows = [list(row.values()) for row in facts["norms"]]
        lines += ["", text_table(NORM_COLUMNS, rows)]
    if "study" in facts:
        lines += ["", study_text(facts["study"])]
    return "\n".join(lines)


def _words(value: Any, between: str = ", ") -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return between.join(_words(inner) for inner in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "as it is" if value is None else printable(str(value))


def _parser() -> Parser:
    parser = Parser(
        prog="segkit info",
        description="Say what a model, a study, a plan or a scan is. A plan is shown with the norm of every layer.",
    )
    parser.add_argument(
        "what",
        metavar="MODEL|STUDY|PLAN|SCAN",
        help="a model or its name, a study's folder, a plan.json, or a scan",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser
