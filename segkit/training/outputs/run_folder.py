"""The folder of one training: its name, its state and its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from segkit.config.compose import to_yaml
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.files.atomic import atomic_path, is_leftover, remove_leftovers, write_text
from segkit.files.locks import HOLDER, LOCK
from segkit.files.names import STUDY
from segkit.machine.folders import folder, unmounted
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_text
from segkit.preprocessing.harmonization import is_harmonized_by_table

log = logging.getLogger(__name__)

CONFIG, PLAN, FINISHED = "config.yaml", "plan.json", "finished.json"
FOLDS = "folds.json"
"""File that only the folder of a cross-validation has."""
TRAINING, CROSS_VALIDATION, PRUNING = "training", "cross_validation", "pruning"
"""Kinds of folders, besides the names of the other studies."""
BUNDLE, CHECKPOINTS = "bundle", "checkpoints"
PREPARED = "prepared"
"""Folder of prepared cases."""

RUNS = Path("runs")
LATEST = RUNS / "latest"
"""Text file with the folder of the newest run, relative to ``runs``."""

State = Literal["new", "unfinished", "finished"]


def run_state(run_dir: Path) -> State:
    """Return the state of the run in ``run_dir``; new means that it holds no run.

    Raises:
        UsageError: a file, or a folder with other things in it.
    """
    if (run_dir / FINISHED).is_file():
        return "finished"
    if (run_dir / CONFIG).is_file():
        return "unfinished"
    if run_dir.exists() and not (run_dir.is_dir() and _is_unused(run_dir)):
        raise UsageError(
            f"run_dir={run_dir} holds something other than a training. "
            "Give a new or an empty folder."
        )
    return "new"


def _is_unused(folder: Path) -> bool:
    """Return whether a folder holds no run.

    It is empty, or a training or study was killed there while it wrote its first files.
    """
    paths = list(folder.iterdir())
    leftovers = [path for path in paths if is_leftover(path)]
    others = {path.name for path in paths if not is_leftover(path)} - {PREPARED, LOCK, HOLDER}
    has_partial_config = any(path.suffix == Path(CONFIG).suffix for path in leftovers)
    was_killed_early = others <= {PLAN, FOLDS, STUDY} and has_partial_config
    return not others or others in ({FOLDS}, {STUDY}) or was_killed_early


def write_start(run_dir: Path, plan: Plan, config: TrainConfig) -> None:
    """Write plan.json and config.yaml, the files that make a folder the folder of a run.

    A kill at any moment leaves a folder that `run_state` calls new, or one with both files:
    config.yaml comes last, and while plan.json is alone, the incomplete config.yaml lies beside it.
    The caller has locked the folder.
    """
    with atomic_path(run_dir / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")
        write_text(run_dir / PLAN, plan_text(plan))
    remove_leftovers(run_dir, run_dir / CHECKPOINTS, run_dir / BUNDLE, run_dir / BUNDLE / "weights")


def check_kind(run_dir: Path, kind: str) -> None:
    """Check that a training or a study does not continue in the folder of another kind.

    Args:
        run_dir: the folder.
        kind: what it is to hold: TRAINING or the name of a study.

    Raises:
        UsageError: the folder holds another kind.
    """
    found = folder_kind(run_dir)
    if found is None or found == kind:
        return
    verb = {TRAINING: "train", PRUNING: "prune"}.get(found, f"study {found}")
    shown = {TRAINING: "training", CROSS_VALIDATION: "cross-validation", PRUNING: "pruning"}
    raise UsageError(
        f"run_dir={run_dir} holds a {shown.get(found, f'{found} study')}. "
        f"Give another folder, or continue with 'segkit {verb}'."
    )


def folder_kind(run_dir: Path) -> str | None:
    """Return TRAINING or the name of the study in ``run_dir``; None if nothing was started there.

    Raises:
        InputError: a damaged study.json.
    """
    if not (run_dir / CONFIG).is_file():
        return None
    if (run_dir / STUDY).is_file():
        return str(read_study(run_dir)["kind"])
    return CROSS_VALIDATION if (run_dir / FOLDS).is_file() else TRAINING


def read_study(folder: Path) -> dict[str, Any]:
    """Return the content of study.json: ``kind``, and ``settings`` as the words that set them.

    Raises:
        InputError: a file that cannot be read.
    """
    path = folder / STUDY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"kind": str(content["kind"]), "settings": [str(x) for x in content["settings"]]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            path,
            expected="the kind and the settings of a study as segkit wrote them",
            found=f"{type(error).__name__}: {error}",
            remedy="Give another run_dir; finished trainings in this one stay as they are.",
        ) from error


def write_study(folder: Path, kind: str, settings: Sequence[str]) -> None:
    """Write study.json, which makes a folder the folder of a study."""
    content = {"kind": kind, "settings": list(settings)}
    write_text(folder / STUDY, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def default_run_dir(
    config: TrainConfig,
    plan: Plan,
    dataset: Dataset,
    origin: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Return runs/<dataset>/<kind>-<hash>; equal configuration, plan, data and origin share it.

    Args:
        config: settings of the training; paths in them do not count.
        plan: the plan.
        dataset: its name and the hash of its content count.
        origin: hashes of what the training starts from (`Origin.hashes`).
        kind: the study that the runs in the folder belong to; default the network's name.
        settings: settings of the study that determine its results, in JSON types.
    """
    content = training_content(config, plan, dataset, origin) + ([settings] if settings else [])
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return RUNS / safe_name(dataset.name) / f"{kind or plan.network.name}-{digest}"


def training_content(
    config: TrainConfig, plan: Plan, dataset: Dataset, origin: Mapping[str, str] | None = None
) -> list[Any]:
    """Return everything that determines a training, in JSON types; paths do not count."""
    content = dataclasses.asdict(config)
    # The location of run, data, prepared cases, plan and weights does not change the training.
    content.pop("run_dir")
    content["dataset"].pop("path")
    content["dataset"].pop("store")
    content["plan"].pop("file")
    # The plan holds what was fitted; groups count below, where they are used.
    content["plan"].pop("harmonization")
    content["dataset"].pop("groups")
    content["dataset"].pop("group_column")
    # Settings that older versions did not have: their runs keep the names of their folders.
    later = (
        (content, "folds"),
        (content, "folds_by"),
        (content["trainer"], "rewind_step"),
        (content["network"], "symmetry"),
    )
    for section, key in later:
        if section[key] is None:
            section.pop(key)
    content["compute"] = {"name": config.compute.name}
    for key in ("weights", "rewind", "mask"):
        content.pop(key)
    content |= {"weights": None, **(origin or {})}
    if config.folds_by or config.dataset.groups or _has_groups(plan, dataset):
        content["groups"] = [[case.id, case.group] for case in dataset.cases]
    return [content, plan.hash(), dataset.content_hash()]


def _has_groups(plan: Plan, dataset: Dataset) -> bool:
    """Return whether the groups of a dataset decide how its cases are harmonized."""
    return is_harmonized_by_table(plan) and any(case.group for case in dataset.cases)


def prepared_folder(config: TrainConfig, run_dir: Path) -> Path:
    """Return the folder of prepared cases.

    It is dataset.store, or else beside the run, or in the run if only that folder is writable.
    """
    if config.dataset.store:
        return Path(config.dataset.store)
    parent = run_dir.resolve().parent
    is_read_only = parent.is_dir() and not os.access(parent, os.W_OK)
    return (run_dir if is_read_only else run_dir.parent) / PREPARED


def check_place(config: TrainConfig, dataset_name: str) -> None:
    """Check that a folder for the runs can be made, before the dataset is measured for minutes.

    A folder of earlier runs is not tried: a finished run in it is not trained again.

    Raises:
        InputError: it cannot be written, or would be lost with the container.
    """
    place = RUNS / safe_name(dataset_name)
    lost = unmounted(Path(config.run_dir) if config.run_dir else place)
    if lost:
        raise InputError(
            lost,
            expected="a mounted folder for the run, which can be written to and outlives the"
            " container",
            found="nothing mounted there",
            remedy=f"Mount one: docker run -v FOLDER:{lost}",
        )
    if config.run_dir or place.exists():
        return
    problem = folder(place).problem
    if problem:
        raise InputError(
            place,
            expected="a folder for the run that can be written to",
            found=problem,
            remedy="Give run_dir=PATH in a folder that can be written to, or change to one; in a"
            " container, mount one and work in it (docker run -v FOLDER:/work -w /work).",
        )


def safe_name(name: str) -> str:
    """Return ``name`` as a folder name for any system: letters, digits, dots, dashes, underscores.

    >>> safe_name("../Liver & spleen")
    'Liver_spleen'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("._ ") or "dataset"


def point_latest(run_dir: Path) -> None:
    """Make runs/latest name ``run_dir``; log a warning if it cannot be written."""
    try:
        write_text(LATEST, f"{_relative_to_runs(run_dir)}\n")
    except InputError as error:
        log.warning("runs/latest does not name this run: %s", error)


def _relative_to_runs(run_dir: Path) -> str:
    try:
        return Path(os.path.relpath(run_dir, RUNS)).as_posix()
    except ValueError:
        return run_dir.resolve().as_posix()  # another drive, on Windows
