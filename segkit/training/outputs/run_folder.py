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

from segkit.config.compose import to_yaml
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.files.atomic import atomic_path, is_leftover, remove_leftovers, write_text
from segkit.files.locks import HOLDER, LOCK
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_text

if TYPE_CHECKING:  # a sweep asks where runs go before torch is needed
    from segkit.bundle.bundle import Bundle

log = logging.getLogger(__name__)

CONFIG, PLAN, FINISHED = "config.yaml", "plan.json", "finished.json"
FOLDS = "folds.json"
"""In the folder of a cross-validation, beside what a run has."""
BUNDLE, CHECKPOINTS = "bundle", "checkpoints"
PREPARED = "prepared"

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
    if run_dir.exists() and not (run_dir.is_dir() and _is_unused(run_dir)):
        raise UsageError(
            f"run_dir={run_dir} holds something else than a training. Give a new or an empty folder."
        )
    return "new"


def _is_unused(folder: Path) -> bool:
    """Whether it is empty, or as a training or a study leaves it that was killed while it wrote its first files."""
    left = [path for path in folder.iterdir() if is_leftover(path)]
    others = {path.name for path in folder.iterdir() if not is_leftover(path)} - {
        PREPARED,
        LOCK,
        HOLDER,
    }
    begun = others <= {PLAN, FOLDS} and any(path.suffix == Path(CONFIG).suffix for path in left)
    return not others or others == {FOLDS} or begun


def write_start(run_dir: Path, plan: Plan, config: TrainConfig) -> None:
    """Write plan.json and config.yaml, the files that make a folder the one of a run.

    A kill at any moment leaves a folder that `state` calls new, or one with both files: config.yaml comes last, and
    while plan.json stands alone there is the uncompleted config.yaml beside it. The caller has the folder's sole use.
    """
    with atomic_path(run_dir / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")
        write_text(run_dir / PLAN, plan_text(plan))
    remove_leftovers(run_dir, run_dir / CHECKPOINTS, run_dir / BUNDLE, run_dir / BUNDLE / "weights")


def check_kind(run_dir: Path, *, study: bool) -> None:
    """A training does not go on in the folder of a cross-validation, nor the other way round.

    Raises:
        UsageError: the folder of the other kind.
    """
    if (run_dir / CONFIG).is_file() and (run_dir / FOLDS).is_file() is not study:
        kind, verb = (
            ("training", "train") if study else ("cross-validation", "study cross_validation")
        )
        raise UsageError(
            f"run_dir={run_dir} holds a {kind}. Give another folder, or go on with 'segkit {verb}'."
        )


def default_run_dir(
    config: TrainConfig,
    plan: Plan,
    dataset: Dataset,
    weights: Bundle | None = None,
    *,
    kind: str | None = None,
) -> Path:
    """runs/<dataset>/<kind>-<hash>: the same configuration, plan, data and weights lead to the same folder.

    ``kind`` is the network, or what study the runs in the folder belong to.
    """
    content = dataclasses.asdict(config)
    # Where the run goes, and where data, prepared cases, plan and weights lie, changes nothing about it.
    content.pop("run_dir")
    content["dataset"].pop("path")
    content["dataset"].pop("store")
    content["plan"].pop("file")
    if config.folds is None:
        content.pop("folds")  # the folders of older runs keep their names
    content["compute"] = {"name": config.compute.name}
    content["weights"] = weights.hash if weights else None
    text = json.dumps([content, plan.hash(), dataset.content_hash()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return RUNS / safe_name(dataset.name) / f"{kind or plan.network.name}-{digest}"


def prepared_folder(config: TrainConfig, run_dir: Path) -> Path:
    """Where prepared cases are kept: dataset.store, else beside the run, or in it where only it can be written."""
    if config.dataset.store:
        return Path(config.dataset.store)
    beside = run_dir.resolve().parent
    inside = beside.is_dir() and not os.access(beside, os.W_OK)
    return (run_dir if inside else run_dir.parent) / PREPARED


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
