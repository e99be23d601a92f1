"""One training from overrides to a run folder: where it goes, whether to start, go on or leave it, then `fit`."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segkit.bundle import Bundle, read_bundle
from segkit.config import TrainConfig, load, to_yaml
from segkit.config_file import read_config
from segkit.config_keys import get
from segkit.config_words import given_keys
from segkit.dataset import Dataset
from segkit.dataset_plan import given_plan, measured_plan, open_dataset
from segkit.errors import Interrupted, UsageError
from segkit.files import write_text
from segkit.model_names import resolve_model
from segkit.planning.fingerprint import Progress
from segkit.plans import Plan, plan_text
from segkit.training.compute import device_for
from segkit.training.fit import fit
from segkit.training.run_folder import (
    BUNDLE,
    CHECKPOINTS,
    CONFIG,
    PLAN,
    check_kind,
    default_run_dir,
    point_latest,
    state,
)
from segkit.training.split import check_split, split_cases

log = logging.getLogger(__name__)

Resume = bool | Literal["auto"]
"""Whether to go on with an unfinished run; auto: where there is one."""


@dataclass(frozen=True)
class Setup:
    """What a training needs before its first step, and the folder that it goes to."""

    config: TrainConfig
    plan: Plan
    dataset: Dataset
    weights: Bundle | None
    run_dir: Path


def train(
    *overrides: str, resume: Resume = False, progress: Progress | None = None, started: float | None = None
) -> Path:
    """Train and return the run's folder; its ``bundle`` is the model.

    ``segkit.train("dataset=scans", "trainer.max_minutes=10")`` does what ``segkit train`` does with the same words.
    A finished run is not run again; an unfinished one goes on with ``resume``; with "auto" a new one may begin.
    Minutes count from ``started`` (of `time.monotonic`), or from the call.

    Raises:
        UsageError: an override that makes no sense, or an unfinished run without ``resume``.
        InputError: a dataset, plan or case that cannot be used.
    """
    started = time.monotonic() if started is None else started
    config = load(overrides)
    if config.run_dir:
        check_kind(Path(config.run_dir), study=False)
        config = as_started(config, overrides)
        if is_done(Path(config.run_dir or ""), resume):
            return Path(config.run_dir or "")
    dataset = open_dataset(config)
    split = split_cases(dataset, config.fold)
    setup = set_up(config, dataset, progress=progress)
    run_dir = setup.run_dir
    if not config.run_dir and is_done(run_dir, resume):
        return run_dir
    if (run_dir / CHECKPOINTS).exists():  # before config.yaml names another dataset
        check_split(run_dir, split)
    log.info("%d cases train, %d validate; the run is in %s", len(split.training), len(split.validation), run_dir)
    start(setup, started=started)
    return run_dir


def set_up(
    config: TrainConfig, dataset: Dataset, *, kind: str | None = None, progress: Progress | None = None
) -> Setup:
    """Find or make the plan, open the weights to start from, and choose the folder (see `default_run_dir`).

    Raises:
        UsageError: a choice that does not fit the machine or the data.
        InputError: a plan, a model or a case that cannot be used.
    """
    device = device_for(config)
    weights = _weights(config)
    plan = _plan(config, dataset, device.type == "cuda", progress)
    # An edited plan may ask for another batch than the configuration's default.
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, batch_size=plan.batch_size))
    run_dir = Path(config.run_dir) if config.run_dir else default_run_dir(config, plan, dataset, weights, kind=kind)
    return Setup(config, plan, dataset, weights, run_dir)


def start(setup: Setup, *, started: float | None = None) -> Path:
    """`fit` in a folder that says what runs there, from its newest checkpoint if it has one; returns the bundle."""
    with _started(setup.run_dir, setup.config, setup.plan):
        return fit(setup.config, setup.plan, setup.dataset, setup.run_dir, weights=setup.weights, started=started)


def _weights(config: TrainConfig) -> Bundle | None:
    """The model to start from; a run that is gone on with does not need it any more."""
    if not config.weights or (config.run_dir and (Path(config.run_dir) / CHECKPOINTS).exists()):
        return None
    return read_bundle(resolve_model(config.weights))


def as_started(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """The configuration that the run in ``run_dir`` was started with, if there is one."""
    run_dir = Path(config.run_dir or "")
    if state(run_dir) == "new":
        return config
    stored = read_config(run_dir / CONFIG)
    moved = {"run_dir", "dataset.path"}
    for key in sorted(given_keys(overrides) - moved):
        resolved = get(config, key) == "auto" and key == "trainer.batch_size"  # the plan's number was stored
        if get(config, key) != get(stored, key) and not resolved:
            raise UsageError(
                f"the training in {run_dir} was started with {key}={get(stored, key)}, not {get(config, key)}. "
                "Give another run_dir, or leave the override out."
            )
    where = dataclasses.replace(stored.dataset, path=config.dataset.path or stored.dataset.path)
    return dataclasses.replace(stored, run_dir=config.run_dir, dataset=where)


def is_done(run_dir: Path, resume: Resume) -> bool:
    """Whether the run is finished; an unfinished one may only go on when asked to."""
    found = state(run_dir)
    if found == "unfinished" and not resume:
        raise UsageError(f"the training in {run_dir} is unfinished. Go on with --resume, or give another run_dir=.")
    if found == "new" and resume is True:
        log.warning("nothing to go on with in %s: the training starts anew", run_dir)
    if found == "finished":
        log.info("The training in %s is finished and is not run again.", run_dir)
        point_latest(run_dir)
    return found == "finished"


def _plan(config: TrainConfig, dataset: Dataset, gpu: bool, progress: Progress | None) -> Plan:
    started = Path(config.run_dir) / PLAN if config.run_dir else None
    if started and started.is_file():
        return given_plan(started, dataset)
    if config.plan.file:
        return given_plan(config.plan.file, dataset)
    return measured_plan(config, dataset, gpu=gpu, progress=progress)[0]


@contextmanager
def _started(run_dir: Path, config: TrainConfig, plan: Plan) -> Iterator[None]:
    """Write down what runs; leave nothing of a run that came to no checkpoint, else let runs/latest name it."""
    made = [folder for folder in run_dir.parents if not folder.exists()]
    # config.yaml comes last: where it stands, the plan does too.
    write_text(run_dir / PLAN, plan_text(plan))
    write_text(run_dir / CONFIG, to_yaml(config))
    try:
        yield
    except Exception as error:
        if not isinstance(error, Interrupted) and not (run_dir / CHECKPOINTS).exists():
            shutil.rmtree(run_dir)
            with suppress(OSError):  # somebody else may have put something there meanwhile
                for folder in made:
                    folder.rmdir()
        raise
    finally:
        if (run_dir / BUNDLE).is_dir():
            point_latest(run_dir)
