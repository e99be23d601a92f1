"""One training from overrides to a run folder: where it goes, whether to start, go on or leave it, then `fit`."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import resolve_model
from segkit.config.compose import load
from segkit.config.no_effect import check_effects_with_network
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import UsageError
from segkit.files.locks import check_free, sole_use
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.identical_images import copies_as_one_patient, copies_of
from segkit.planning.plan_dataset import given_plan, measured_plan, open_dataset, warn_of_dataset
from segkit.plans.plan import Plan
from segkit.progress import CaseProgress
from segkit.training.compute.device import device_for
from segkit.training.compute.distributed import ALONE, Ranks, start_ranks
from segkit.training.compute.slurm import was_requeued
from segkit.training.data.split import check_split, split_cases
from segkit.training.fit import fit
from segkit.training.outputs.checkpoint import has_checkpoint, newest_checkpoint
from segkit.training.outputs.failed_start import undone_without_result
from segkit.training.outputs.run_folder import (
    BUNDLE,
    CHECKPOINTS,
    PLAN,
    RUNS,
    check_kind,
    default_run_dir,
    point_latest,
    prepared_folder,
    safe_name,
    state,
    write_start,
)
from segkit.training.outputs.run_log import early_messages, run_log
from segkit.training.outputs.trackers import check_tracker
from segkit.training.resume import as_started, begun_before
from segkit.training.signals import stoppable

log = logging.getLogger(__name__)

NORMALIZED = {"ct": "normalized as CT", "zscore": "normalized by z-score", "none": "not normalized"}
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
    ranks: Ranks = ALONE


@stoppable()
@early_messages()
def train(
    *overrides: str,
    resume: Resume = False,
    progress: CaseProgress | None = None,
    started: float | None = None,
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
    resume = resume or (config.compute.name == "slurm" and was_requeued())
    if config.run_dir:
        check_kind(Path(config.run_dir), study=False)
        if state(Path(config.run_dir)) == "unfinished":
            check_free(Path(config.run_dir))
        config = as_started(config, overrides)
        if is_done(Path(config.run_dir or ""), resume):
            return Path(config.run_dir or "")
    check_tracker(config.logger)
    ranks = start_ranks(config.compute)
    with ranks.end_together(), ExitStack() as used:
        return _train(
            config, overrides, ranks, used, resume=resume, progress=progress, started=started
        )


def _train(
    config: TrainConfig,
    overrides: Sequence[str],
    ranks: Ranks,
    used: ExitStack,
    *,
    resume: Resume,
    progress: CaseProgress | None,
    started: float,
) -> Path:
    """What every rank does: rank 0 plans and writes, all of them train. ``used`` holds the lock of the run folder."""
    if config.run_dir and ranks.share(
        lambda: _is_done_once_locked(Path(config.run_dir or ""), resume, used)
    ):
        return Path(config.run_dir)
    dataset = open_dataset(config)
    split_cases(
        dataset, config.fold, config.folds
    )  # a fold that does not exist is said before anything is measured
    setup = set_up(config, dataset, given=given_keys(overrides), progress=progress, ranks=ranks)
    if not config.run_dir:
        setup = _resumed_setup(setup) if resume else setup
        if ranks.share(lambda: _is_done_once_locked(setup.run_dir, resume, used)):
            return setup.run_dir
    run_dir, plan = setup.run_dir, setup.plan
    split = split_cases(setup.dataset, config.fold, config.folds)
    if has_checkpoint(run_dir / CHECKPOINTS):  # before config.yaml names another dataset
        check_split(run_dir, split)
    log.info(
        "%d cases train, %d validate; the run is in %s",
        len(split.training),
        len(split.validation),
        run_dir,
    )
    mirrored = ", ".join("xyz"[axis] for axis in plan.mirror_axes) or "none"
    log.info("mirroring %s. %s", mirrored, plan.reasons.get("mirror", ""))
    _log_normalization(plan)
    start(setup, started=started)
    return run_dir


def _is_done_once_locked(run_dir: Path, resume: Resume, used: ExitStack) -> bool:
    """As `is_done`, asked again when the folder is locked; it stays so until ``used`` is closed."""
    if is_done(run_dir, resume):
        return True
    used.enter_context(sole_use(run_dir))
    done = is_done(run_dir, resume)
    if resume is True and state(run_dir) == "new":
        log.warning("nothing to go on with in %s: the training starts anew", run_dir)
    return done


def _resumed_setup(setup: Setup) -> Setup:
    """The same in the folder of an unfinished run that was begun with other threads, say."""

    def begun() -> Path | None:
        if state(setup.run_dir) != "new":
            return None
        return begun_before(setup.config, setup.plan, setup.dataset, setup.weights)

    found = setup.ranks.share(begun)
    return dataclasses.replace(setup, run_dir=found) if found else setup


def set_up(
    config: TrainConfig,
    dataset: Dataset,
    *,
    given: Collection[str],
    kind: str | None = None,
    progress: CaseProgress | None = None,
    ranks: Ranks = ALONE,
) -> Setup:
    """Find or make the plan, open the weights to start from, and choose the folder (see `default_run_dir`).

    ``given`` names the keys that the user gave, ``kind`` the study that the runs in the folder belong to.

    Raises:
        UsageError: a choice that does not fit the machine or the data.
        InputError: a plan, a model or a case that cannot be used.
    """
    gpu = device_for(config).type == "cuda"
    weights = _weights(config)
    plan, dataset = ranks.share(
        lambda: _plan(config, dataset, gpu, progress, given=given, ranks=ranks)
    )
    check_effects_with_network(plan.network.name, given)
    # An edited plan may ask for another batch than the configuration's default.
    config = dataclasses.replace(
        config, trainer=dataclasses.replace(config.trainer, batch_size=plan.batch_size)
    )
    run_dir = (
        Path(config.run_dir)
        if config.run_dir
        else default_run_dir(config, plan, dataset, weights, kind=kind)
    )
    return Setup(config, plan, dataset, weights, run_dir, ranks)


def start(setup: Setup, *, started: float | None = None) -> Path:
    """`fit` in a folder that says what runs there, from its newest checkpoint if it has one; returns the bundle."""
    first = setup.ranks.number == 0
    with _started(setup.run_dir, setup.config, setup.plan) if first else nullcontext():
        return fit(
            setup.config,
            setup.plan,
            setup.dataset,
            setup.run_dir,
            weights=setup.weights,
            started=started,
            ranks=setup.ranks,
        )


def _weights(config: TrainConfig) -> Bundle | None:
    """The model to start from; a run that is gone on with does not need it any more."""
    if not config.weights or (
        config.run_dir and newest_checkpoint(Path(config.run_dir) / CHECKPOINTS)
    ):
        return None
    return read_bundle(resolve_model(config.weights))


def is_done(run_dir: Path, resume: Resume) -> bool:
    """Whether the run is finished; an unfinished one may only go on when asked to."""
    found = state(run_dir)
    if found == "unfinished" and not resume:
        raise UsageError(
            f"the training in {run_dir} is unfinished. Go on with --resume, or give another run_dir=."
        )
    if found == "finished":
        log.info("The training in %s is finished and is not run again.", run_dir)
        point_latest(run_dir)
    return found == "finished"


def _plan(
    config: TrainConfig,
    dataset: Dataset,
    gpu: bool,
    progress: CaseProgress | None,
    *,
    given: Collection[str],
    ranks: Ranks,
) -> tuple[Plan, Dataset]:
    """The plan, and the dataset in which cases with the same voxels are one patient."""
    run_dir = Path(config.run_dir) if config.run_dir else RUNS / safe_name(dataset.name) / "run"
    store = prepared_folder(config, run_dir)
    unfinished = config.run_dir and state(run_dir) == "unfinished"
    file = run_dir / PLAN if unfinished else config.plan.file
    if file:
        plan = given_plan(file, dataset)
        fingerprint = load_or_measure(dataset, store, progress)
        warn_of_dataset(dataset, fingerprint, plan)
    else:
        plan, fingerprint = measured_plan(
            config, dataset, gpu=gpu, progress=progress, store=store, given=given
        )
        # What was planned is for one device; a batch that was asked for is that of all of them.
        count = ranks.count if config.trainer.batch_size == "auto" else 1
        plan = dataclasses.replace(plan, batch_size=count * plan.batch_size)
    return plan, copies_as_one_patient(dataset, copies_of(fingerprint.cases))


def _log_normalization(plan: Plan) -> None:
    for channel in plan.channels:
        reason = plan.reasons.get(f"channel {channel.name}", "")
        log.info("channel %s is %s. %s", channel.name, NORMALIZED[channel.scheme], reason)


@contextmanager
def _started(run_dir: Path, config: TrainConfig, plan: Plan) -> Iterator[None]:
    """Write down what runs; a run that gives nothing leaves nothing, else let runs/latest name it."""
    try:
        with undone_without_result(run_dir):
            write_start(run_dir, plan, config)
            with run_log(run_dir), stoppable(run_dir):
                yield
    finally:
        if (run_dir / BUNDLE).is_dir():
            point_latest(run_dir)
