"""segkit info: describe a model, a study, a plan or a scan."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.bundle.card import ModelCard, bundle_path, open_card
from segkit.bundle.card_content import card_content
from segkit.bundle.card_text import card_text
from segkit.bundle.lookup import SUFFIX, ensemble_paths, is_model, resolve_model
from segkit.bundle.notes import read_notes
from segkit.bundle.overlap_dice import OVERLAP_KEY, choose_overlap
from segkit.bundle.precision_agreement import AGREEMENT_KEY
from segkit.commands.flags import Parser
from segkit.commands.info_study import CROSS_VALIDATION, SWEEP, study_facts, study_text
from segkit.commands.info_words import WORDS
from segkit.errors import InputError, printable
from segkit.files.names import CARD, READABLE, listed, suffix_of
from segkit.io import open_source
from segkit.io.dicom.files.detection import is_dicom
from segkit.planning.norm_report import norm_report
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.preprocessing.orient_and_crop import to_ras
from segkit.quality.arrangement_entry import ARRANGEMENT_KEY
from segkit.quality.calibration import CALIBRATION_KEY
from segkit.quality.entry import EXPECTED_KEY
from segkit.report.tables import text_table
from segkit.volume import Volume

NORM_COLUMNS = ("layer", "channels", "groups", "channels per group", "voxels", "pool", "equals")
ON_CARD = ("norms", "study", "card", "dataset", "training", "metrics")
"""Facts that are shown in another way than in one line."""
SIZES = ("shape", "spacing", "patch")
"""Facts with a number for each axis, shown with x between the numbers."""


def run(arguments: Sequence[str]) -> int:
    """Print the description as text or JSON, and return the exit code."""
    given = _parser().parse_args(arguments)
    facts = _facts(given.what)
    if given.json:
        print(json.dumps(facts[0] if len(facts) == 1 else facts, indent=2, ensure_ascii=False))
    else:
        print(printable("\n\n".join(_text(entry) for entry in facts), lines=True))
    return 0


def _facts(what: str) -> list[dict[str, Any]]:
    """Return one entry, or one for each model of an ensemble."""
    path = Path(what)
    if _is_scan(path):
        return [scan_facts(path)]
    if path.suffix.lower() == ".json" and path.name != CARD:
        plan = read_plan(path)
        return [{"kind": "plan", "path": what, **plan_facts(plan), "norms": norm_rows(plan)}]
    model = path.parent if path.name == CARD else resolve_model(what)
    if model.is_file() and model.suffix != SUFFIX and not zipfile.is_zipfile(model):
        raise _unknown(model)
    study = study_facts(model)
    if study and not is_model(model):
        return [study]
    facts = [model_facts(open_card(member)) for member in ensemble_paths(model)]
    return [{**entry, "study": study} for entry in facts] if study else facts


def _unknown(path: Path) -> InputError:
    return InputError(
        path,
        expected=f"a model (a folder or {SUFFIX}), a plan (.json), DICOM, "
        f"or a scan in one of the formats {listed(READABLE)}",
        found=f"the suffix {suffix_of(path)!r}" if suffix_of(path) else "no suffix",
        remedy="Convert a scan of another format, for example to .nii.gz.",
    )


def _is_scan(path: Path) -> bool:
    if path.is_dir():
        return not (bundle_path(path) / CARD).is_file() and is_dicom(path)
    return suffix_of(path) in READABLE or is_dicom(path)


def scan_facts(path: Path) -> dict[str, Any]:
    """Return geometry, type and range of the values of a scan, in JSON types.

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
    """Return where the voxel axes point, such as ``LPS`` for left, posterior, superior.

    A picture has no orientation: the text is empty.

    >>> import numpy as np
    >>> orientation(Volume(np.zeros((1, 2, 2, 2)), np.diag([-1.0, -1.0, 1.0, 1.0])))
    'LPS'
    """
    if volume.unit == "px":
        return ""
    axis_map = to_ras(volume)[1]
    letters = [("LPI" if flip else "RAS")[axis] for axis, flip in enumerate(axis_map.flips)]
    return "".join(letters[axis_map.order.index(axis)] for axis in range(3))


FROM_CARD = (
    "segkit",
    "dataset",
    "training",
    "pruning",
    "metrics",
    "needs",
    "postprocessing",
    AGREEMENT_KEY,
    "calibrated_on",
)
"""Keys of bundle.json that are shown as they are."""


def model_facts(model: ModelCard) -> dict[str, Any]:
    """Return name, hashes, inputs, outputs and training figures of a model, in JSON types."""
    card = model.card
    from_card: dict[str, Any] = {key: card[key] for key in FROM_CARD if key in card}
    overlap, reason = choose_overlap([card])
    from_card["overlap"] = {"auto": overlap, "reason": reason, **card.get(OVERLAP_KEY, {})}
    if EXPECTED_KEY in card:  # its coefficients are of no use to a reader
        from_card[EXPECTED_KEY] = card[EXPECTED_KEY]["accuracy"]
    for key in (CALIBRATION_KEY, ARRANGEMENT_KEY):
        if key in card:
            from_card[key] = card[key]
    from_plan = plan_facts(model.plan)
    del from_plan["name"], from_plan["hash"]
    return {
        "kind": "model",
        "path": str(model.path),
        "name": model.name,
        "created": model.created,
        "hash": model.hash,
        "plan": model.plan.hash(),
        "folds": list(model.folds),
        **from_plan,
        **from_card,
        "card": card_content(model, _config(model), read_notes(model.path)),
    }


def _config(model: ModelCard) -> dict[str, Any] | None:
    """Return the configuration; None if it is missing, as it may be taken out of a shared model."""
    try:
        return model.config
    except InputError:
        return None


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return the choices of a plan, in JSON types."""
    facts: dict[str, Any] = {
        "name": plan.name,
        "hash": plan.hash(),
        "dims": plan.dims,
        "channels": {channel.name: channel.scheme for channel in plan.channels},
        "labels": plan.labels,
    }
    if plan.regions:
        facts["regions"] = {name: list(values) for name, values in plan.regions.items()}
    if plan.ignore is not None:
        facts["ignore"] = plan.ignore
    if plan.segments:
        facts["segments"] = {name: codes.to_json() for name, codes in plan.segments.items()}
    symmetry = plan.network.symmetry
    return {
        **facts,
        "spacing": list(plan.spacing),
        "unit": plan.unit,
        "patch": list(plan.patch),
        "batch_size": plan.batch_size,
        "mirror_axes": list(plan.mirror_axes),
        "mirror_swaps": [" and ".join(pair) for pair in plan.mirror_swaps],
        "network": plan.network.name,
        **({"symmetry": symmetry.group} if symmetry else {}),
        **({"harmonized": _harmonized(plan.harmonization)} if plan.harmonization else {}),
        "features": [stage.layers[-1].channels for stage in plan.network.encoder],
    }


def _harmonized(harmonization: Mapping[str, Any]) -> dict[str, Any]:
    """Return the method, and the number of training scans of each group."""
    return {"method": harmonization["method"], "groups": harmonization["scans"]}


def norm_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return one row for each normalized layer, with the columns `NORM_COLUMNS`, in JSON types."""
    return [dataclasses.asdict(row) for row in norm_report(plan)]


def _text(facts: Mapping[str, Any]) -> str:
    if facts["kind"] in (CROSS_VALIDATION, SWEEP) or "cells" in facts:
        return study_text(facts)
    shown = {key: value for key, value in facts.items() if key not in ON_CARD}
    if isinstance(shown.get("channels"), Mapping):  # a scan has a number of channels
        schemes = shown["channels"].items()
        shown["channels"] = [f"{name} (normalization {scheme})" for name, scheme in schemes]
    shown |= {key: text(shown[key]) for key, text in WORDS.items() if key in shown}
    lines = [
        f"{key:<12} {_words(value, ' x ' if key in SIZES else ', ')}"
        for key, value in shown.items()
    ]
    if "card" in facts:
        lines += ["", card_text(facts["card"]).rstrip()]
    if "norms" in facts:
        rows = [list(row.values()) for row in facts["norms"]]
        lines += ["", text_table(NORM_COLUMNS, rows)]
    if "study" in facts:
        lines += ["", study_text(facts["study"])]
    return "\n".join(lines)


def _words(value: Any, separator: str = ", ") -> str:
    if isinstance(value, Mapping):
        words = {key: "-" if inner is None else _words(inner) for key, inner in value.items()}
        return ", ".join(f"{key} {text}" for key, text in words.items())
    if isinstance(value, list):
        return separator.join(_words(inner) for inner in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "as it is" if value is None else printable(str(value))


def _parser() -> Parser:
    parser = Parser(
        prog="segkit info",
        description="Describe a model, a study, a plan or a scan. "
        "A plan is shown with the normalization of every layer.",
    )
    parser.add_argument(
        "what",
        metavar="MODEL|STUDY|PLAN|SCAN",
        help="a model or its name, the folder of a study, a plan.json, or a scan",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser
