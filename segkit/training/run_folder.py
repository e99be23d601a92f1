"""The folder of one training: its name, whether it is new, unfinished or finished, and which one is the newest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segkit.config import TrainConfig
from segkit.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.files import write_text
from segkit.plans import Plan

if TYPE_CHECKING:  # a sweep asks where runs go before torch is needed
    from segkit.bundle import Bundle

log = logging.getLogger(__name__)

CONFIG, PLAN, FINISHED = "config.yaml", "plan.json", "finished.json"
FOLDS = "folds.json"
"""In the folder of a cross-validation, beside what a run has."""
BUNDLE, CHECKPOINTS = "bundle", "checkpoints"

RUNS = Path("runs")
LATEST = RUNS / "latest"
"""A text file with the newest run's folder, relative to ``runs``."""

State = Literal["new", "unfinished", "finished"]


def state(run_dir: Path) -> State:
    """What ``run_dir`` holds.

    Raises:
        UsageError: a file, or a folder with other things in it.
    """
    if (run_dir / FINISHED).is_file():
        return "finished"
    if (run_dir / CONFIG).is_file():
        return "unfinished"
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UsageError(f"run_dir={run_dir} holds something else than a training. Give a new or an empty folder.")
    return "new"


def check_kind(run_dir: Path, *, study: bool) -> None:
    """A training does not go on in the folder of a cross-validation, nor the other way round.

    Raises:
        UsageError: the folder of the other kind.
    """
    if (run_dir / CONFIG).is_file() and (run_dir / FOLDS).is_file() is not study:
        kind, verb = ("training", "train") if study else ("cross-validation", "study cross_validation")
        raise UsageError(f"run_dir={run_dir} holds a {kind}. Give another folder, or go on with 'segkit {verb}'.")


def default_run_dir(
    config: TrainConfig, plan: Plan, dataset: Dataset, weights: Bundle | None = None, *, kind: str | None = None
) -> Path:
    """runs/<dataset>/<kind>-<hash>: the same configuration, plan, data and weights lead to the same folder.

    ``kind`` is the network, or what study the runs in the folder belong to.
    """
    content = dataclasses.asdict(config)
    # Where the run goes, and where data, plan and weights lie, changes nothing about it.
    content.pop("run_dir")
    content["dataset"].pop("path")
    content["plan"].pop("file")
    content["compute"] = {"name": config.compute.name}
    content["weights"] = weights.hash if weights else None
    text = json.dumps([content, plan.hash(), dataset.content_hash()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return RUNS / safe_name(dataset.name) / f"{kind or plan.network.name}-{digest}"


def safe_name(name: str) -> str:
    """``name`` as a folder of any system: letters, digits, dots and dashes, no dot in front.

    >>> safe_name("../Liver & spleen")
    'Liver_spleen'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("._ ") or "dataset"


def point_latest(run_dir: Path) -> None:
    """Let runs/latest name ``run_dir``; a folder that cannot be written is only warned about."""
    try:
        write_text(LATEST, f"{_from_runs(run_dir)}\n")
    except InputError as error:
        log.warning("runs/latest does not name this run: %s", error)


def _from_runs(run_dir: Path) -> str:
    try:
        return Path(os.path.relpath(run_dir, RUNS)).as_posix()
    except ValueError:
        return run_dir.resolve().as_posix()  # another drive, on Windows
