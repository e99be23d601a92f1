"""One training from overrides to a run folder: start, resume or skip it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import lightning as L

from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.split import Split, split_cases
from segkit.errors import UsageError
from segkit.files.locks import check_free, sole_use
from segkit.planning.plan_dataset import open_dataset
from segkit.progress import CaseProgress
from segkit.training.compute.distributed import Ranks, end_together, start_ranks
from segkit.training.compute.slurm import was_requeued
from segkit.training.data.split import check_split
from segkit.training.fit import fit
from segkit.training.initialization.origin import warn_of_seen_cases
from segkit.training.outputs.checkpoint import has_checkpoint
from segkit.training.outputs.failed_start import undo_failed_start
from segkit.training.outputs.run_folder import (
    BUNDLE,
    CHECKPOINTS,
    TRAINING,
    check_kind,
    point_latest,
    run_state,
    write_start,
)
from segkit.training.outputs.run_log import early_messages, run_log
from segkit.training.outputs.trackers import check_tracker
from segkit.training.resume import resumed_config, unfinished_run
from segkit.training.setup import Setup, set_up
from segkit.training.signals import stoppable

log = logging.getLogger(__name__)

NORMALIZED = {"ct": "normalized as CT", "zscore": "normalized by z-score", "none": "not normalized"}
Resume = bool | Literal["auto"]
"""True resumes an unfinished run, False refuses it; auto resumes it, or starts a new run."""


@stoppable()
@early_messages()
def train(
    *overrides: str,
    resume: Resume = False,
    progress: CaseProgress | None = None,
    started: float | None = None,
) -> Path:
    """Train, and return the run folder; its ``bundle`` is the model.

    ``segkit.train("dataset=scans", "trainer.max_minutes=10")`` does the same as ``segkit train``
    with the same arguments. A finished run is not run again.

    Args:
        overrides: KEY=VALUE settings.
        resume: whether an unfinished run continues from its checkpoint; "auto" also starts new
            runs without a warning.
        progress: called while cases are measured.
        started: start of the training by `time.monotonic`, from which minutes count; default now.

    Raises:
        UsageError: an override that makes no sense, or an unfinished run without ``resume``.
        InputError: a dataset, plan or case that cannot be used.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    started = time.monotonic() if started is None else started
    config = load(overrides)
    resume = resume or (config.compute.name == "slurm" and was_requeued())
    if config.run_dir:
        run_dir = Path(config.run_dir)
        check_kind(run_dir, TRAINING)
        if run_state(run_dir) == "unfinished":
            check_free(run_dir)
        config = resumed_config(config, overrides)
        if is_done(run_dir, resume):
            return run_dir
    check_tracker(config.logger)
    ranks = start_ranks(config.compute)
    with end_together(ranks), ExitStack() as locks:
        return _train(
            config, overrides, ranks, locks, resume=resume, progress=progress, started=started
        )


def _train(
    config: TrainConfig,
    overrides: Sequence[str],
    ranks: Ranks,
    locks: ExitStack,
    *,
    resume: Resume,
    progress: CaseProgress | None,
    started: float,
) -> Path:
    """Train on this rank and return the run folder; ``locks`` keeps it locked."""

    def is_finished(run_dir: Path) -> bool:
        return ranks.share(lambda: _lock_unless_done(run_dir, resume, locks))

    if config.run_dir and is_finished(Path(config.run_dir)):
        return Path(config.run_dir)
    dataset = open_dataset(config)
    split_cases(dataset, config.fold, config.folds)  # reports a missing fold before measuring
    setup = set_up(config, dataset, given=given_keys(overrides), progress=progress, ranks=ranks)
    if not config.run_dir:
        setup = _in_unfinished_run(setup) if resume else setup
        if is_finished(setup.run_dir):
            return setup.run_dir
    split = split_cases(setup.dataset, config.fold, config.folds)
    if has_checkpoint(setup.run_dir / CHECKPOINTS):  # before config.yaml names another dataset
        check_split(setup.run_dir, split, setup.plan)
    _log_setup(setup, split)
    warn_of_seen_cases(setup.origin, split)
    start(setup, started=started)
    return setup.run_dir


def _lock_unless_done(run_dir: Path, resume: Resume, locks: ExitStack) -> bool:
    """Return whether the run is finished; otherwise lock its folder until ``locks`` is closed.

    Another process may have finished the run before the lock, so the question is asked twice.
    """
    if is_done(run_dir, resume):
        return True
    locks.enter_context(sole_use(run_dir))
    done = is_done(run_dir, resume)
    if resume is True and run_state(run_dir) == "new":
        log.warning("no checkpoint in %s: training starts from scratch", run_dir)
    return done


def _in_unfinished_run(setup: Setup) -> Setup:
    """Return the setup in the folder of the unfinished run that it resumes, if there is one."""

    def find() -> Path | None:
        if run_state(setup.run_dir) != "new":
            return None
        return unfinished_run(setup.config, setup.plan, setup.dataset, setup.origin)

    run_dir = setup.ranks.share(find)
    return dataclasses.replace(setup, run_dir=run_dir) if run_dir else setup


def is_done(run_dir: Path, resume: Resume, kind: str = "training") -> bool:
    """Return whether the run is finished, and make runs/latest name it if so.

    Raises:
        UsageError: the run is unfinished and ``resume`` is False.
    """
    run = run_state(run_dir)
    if run == "unfinished" and not resume:
        raise UsageError(
            f"the training in {run_dir} is unfinished. "
            "Continue it with --resume, or give another run_dir=."
        )
    if run == "finished":
        log.info("The %s in %s is finished and is not run again.", kind, run_dir)
        point_latest(run_dir)
    return run == "finished"


def start(
    setup: Setup,
    *,
    started: float | None = None,
    callbacks: Sequence[L.Callback] = (),
    latest: bool = True,
) -> Path:
    """Call `fit` in a run folder that holds configuration, plan and log; return its bundle.

    Args:
        setup: the training.
        started: start of the training by `time.monotonic`; default now.
        callbacks: further Lightning callbacks.
        latest: whether runs/latest shall name this run once it has a model.
    """
    is_writer = setup.ranks.number == 0
    with _run_folder(setup, latest=latest) if is_writer else nullcontext():
        return fit(
            setup.config,
            setup.plan,
            setup.dataset,
            setup.run_dir,
            weights=setup.origin.weights,
            rewind=setup.origin.rewind,
            mask=setup.origin.mask,
            callbacks=callbacks,
            started=started,
            ranks=setup.ranks,
        )


@contextmanager
def _run_folder(setup: Setup, *, latest: bool) -> Iterator[None]:
    """Write configuration, plan and log of a run; undo a start that fails without a result."""
    run_dir = setup.run_dir
    try:
        with undo_failed_start(run_dir):
            write_start(run_dir, setup.plan, setup.config)
            with run_log(run_dir), stoppable(run_dir):
                yield
    finally:
        if latest and (run_dir / BUNDLE).is_dir():
            point_latest(run_dir)


def _log_setup(setup: Setup, split: Split) -> None:
    """Log split, mirroring and normalization."""
    plan, run_dir = setup.plan, setup.run_dir
    training, validation = len(split.training), len(split.validation)
    log.info("%d cases train, %d validate; the run is in %s", training, validation, run_dir)
    mirrored = ", ".join("xyz"[axis] for axis in plan.mirror_axes) or "none"
    log.info("mirroring %s. %s", mirrored, plan.reasons.get("mirror", ""))
    for channel in plan.channels:
        reason = plan.reasons.get(f"channel {channel.name}", "")
        log.info("channel %s is %s. %s", channel.name, NORMALIZED[channel.scheme], reason)
    if plan.harmonization is not None:
        method = plan.harmonization["method"]
        log.info("intensities are harmonized by %s. %s", method, plan.reasons["harmonization"])
