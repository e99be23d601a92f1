"""Pruning: rank the channels of a model, remove some, train the rest; in rounds, within a budget.

Files of a pruning:

config.yaml, plan.json, study.json  settings, plan of the original model, budget
pruned_1, pruned_2, ...             bundle of each round before its training
round_1, round_2, ...               training of each round, an ordinary run
rounds.json                         seconds and share of each finished round
pruning.json, report.html           cost and Dice before and after
bundle/                             the model: that of the last round
finished.json                       written at the end
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import Bundle, read_bundle, write_bundle
from segkit.bundle.notes import carry_notes
from segkit.config.run_file import read_config
from segkit.config.study_words import split_words
from segkit.errors import Interrupted
from segkit.files.atomic import write_text
from segkit.files.names import CARD
from segkit.files.processes import SIGNAL_CODES
from segkit.inference.scoring.precision import choose_precision
from segkit.inference.scoring.window_scorer import MEMORY_FORMAT
from segkit.networks.precision import ComputeMode
from segkit.networks.pruning import channel_sets
from segkit.preprocessing.case_store import PreparedCase
from segkit.progress import CaseProgress
from segkit.report.pruning_page import pruning_page
from segkit.studies.pruning.candidate import Candidate
from segkit.studies.pruning.clock import TIMING_SHARE, TRIES_SHARE, Clock
from segkit.studies.pruning.comparison import compared, costs
from segkit.studies.pruning.ranking import candidates, loss_change, with_losses
from segkit.studies.pruning.selection import Goal, smaller_model
from segkit.studies.pruning.settings import Budget
from segkit.studies.pruning.setup import model_to_prune, set_up_pruning, settings_words
from segkit.studies.study_folder import (
    arm,
    finish_study,
    prepared_split,
    started_study,
    train_arm,
)
from segkit.training.compute.device import device_for, use_machine
from segkit.training.data.patches import training_patches
from segkit.training.initialization.origin import Origin
from segkit.training.optimization.losses import build_loss
from segkit.training.outputs.run_folder import (
    BUNDLE,
    CONFIG,
    PLAN,
    PRUNING,
    point_latest,
    run_state,
)
from segkit.training.run import is_done
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

RESULT, REPORT = "pruning.json", "report.html"

RANKING_SHARE = 0.1
"""Largest share of trainer.max_minutes for ranking the channels, in each round: half of it for the
estimates, half for the loss without channels."""

Ranking = Callable[[Bundle, Setup, list[PreparedCase], str], list[Candidate]]
"""Function from a model, its settings, its training cases and a precision to what can be narrowed
in it."""


def prune(
    model: str,
    *words: str,
    progress: CaseProgress | None = None,
    started: float | None = None,
    ranking: Ranking | None = None,
) -> Path:
    """Make a model smaller and train it again, and return the folder; its ``bundle`` is the model.

    The same call continues an unfinished pruning. A finished one is not run again.

    Args:
        model: path or name of a model.
        words: KEY=VALUE settings of a training, and of the `Budget` as ``budget.KEY=VALUE``.
            ``trainer.max_minutes`` or ``trainer.max_steps`` holds for all rounds together.
        progress: called while cases are measured.
        started: start of the pruning by `time.monotonic`, from which minutes count; default now.
        ranking: what can be narrowed; default `by_loss`.

    Raises:
        UsageError: an override that makes no sense, or a budget that cannot be reached.
        InputError: a model, dataset or case that cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same call continues.
    """
    now = time.monotonic()
    started = now if started is None else started
    overrides, budget = split_words(words, Budget, "budget")
    _ = budget.kind  # reports a missing budget before anything is read
    original = model_to_prune(model)
    study = set_up_pruning(original, overrides, budget, progress)
    if is_done(study.run_dir, "auto", PRUNING):
        return study.run_dir
    with started_study(study, PRUNING, settings_words(budget, original)):
        clock = Clock(study.run_dir, study.config.trainer, budget, started, startup=now - started)
        _run(study, original, budget, ranking or by_loss, clock)
    point_latest(study.run_dir)
    return study.run_dir


def by_loss(
    model: Bundle, study: Setup, cases: list[PreparedCase], precision: str
) -> list[Candidate]:
    """Return what can be narrowed in ``model``, and what that costs in loss on training patches."""
    config, plan, device = study.config, model.plan, device_for(study.config)
    network, loss = model.networks()[0], build_loss(config.trainer, plan)
    patches = training_patches(cases, plan, config)
    minutes = config.trainer.max_minutes
    seconds = math.inf if minutes is None else 60 * RANKING_SHARE * minutes
    importance = loss_change(network, plan, loss, patches, device=device, seconds=seconds / 2)
    return with_losses(
        candidates(channel_sets(plan), importance),
        network,
        plan,
        loss,
        patches,
        mode=ComputeMode(precision, MEMORY_FORMAT),
        device=device,
        seconds=seconds / 2,
    )


def _run(study: Setup, original: Bundle, budget: Budget, ranking: Ranking, clock: Clock) -> None:
    """Run the rounds that are not finished, then compare, and write the model and the report."""
    device = device_for(study.config)
    use_machine(study.config.trainer, device)
    training, validation = prepared_split(study)
    precision, _ = choose_precision("auto", device, [original])
    goal = Goal(original, budget.kind, precision, device)
    goal.limit(clock.window(TIMING_SHARE))
    goal.check(budget.share)
    smaller = original
    for number in range(1, budget.rounds + 1):
        with _continued_by_the_same_command(f"round {number} of {budget.rounds}"):
            folder = study.run_dir / f"pruned_{number}"
            if not (folder / CARD).is_file():
                log.info("round %d of %d: ranking the channels", number, budget.rounds)
                found = ranking(smaller, study, training, precision)
                share = budget.share_after(number)
                goal.limit(clock.window(TIMING_SHARE))
                left = clock.window(TRIES_SHARE / budget.rounds)
                smaller_model(smaller, found, goal, share, folder, left=left)
            smaller = _train_round(study, read_bundle(folder), budget, number, clock)
    with _continued_by_the_same_command("the comparison"):
        result = compared(
            original, smaller, study, validation, precision=precision, left=clock.left
        )
    facts = {"budget": {budget.kind: budget.share}, "rounds": clock.rounds, **result}
    _conclude(study, original, smaller, facts)


@contextmanager
def _continued_by_the_same_command(part: str) -> Iterator[None]:
    """Say which part a signal has stopped, and how to continue."""
    try:
        yield
    except Interrupted as error:
        raise Interrupted(
            f"stopped in {part}; the same command continues", error.exit_code - SIGNAL_CODES
        ) from error


def _train_round(study: Setup, pruned: Bundle, budget: Budget, number: int, clock: Clock) -> Bundle:
    """Train a pruned model, or continue its training, and return the trained one."""
    run = _round_setup(study, pruned, number, clock)
    if run_state(run.run_dir) != "finished":
        log.info("round %d of %d: training the pruned network", number, budget.rounds)
        train_arm(run)
    trained = read_bundle(run.run_dir)
    if len(clock.rounds) < number:
        facts = {
            "share": budget.share_after(number),
            **costs(trained.plan),
            "steps": trained.card["training"].get("steps"),
            "dice": trained.card["metrics"].get("mean_dice"),
        }
        clock.finish_round(facts)
    return trained


def _round_setup(study: Setup, pruned: Bundle, number: int, clock: Clock) -> Setup:
    """Return the training of a round; one that was interrupted keeps its length."""
    run_dir = study.run_dir / f"round_{number}"
    trainer = (
        clock.trainer(number)
        if run_state(run_dir) == "new"
        else read_config(run_dir / CONFIG).trainer
    )
    plan = dataclasses.replace(study.config.plan, file=str(pruned.path / PLAN))
    config = dataclasses.replace(study.config, trainer=trainer, plan=plan, weights=str(pruned.path))
    run = arm(study, run_dir.name, config, pruned.plan)
    return dataclasses.replace(run, origin=Origin(pruned))


def _conclude(study: Setup, original: Bundle, smaller: Bundle, result: dict[str, Any]) -> None:
    """Write the model, pruning.json and the report."""
    folder = study.run_dir
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(folder / RESULT, text)
    write_text(folder / REPORT, pruning_page(result))
    given = ("format_version", "kind", "created", "segkit", "plan", "weights", "files")
    card = {key: value for key, value in smaller.card.items() if key not in given}
    card["name"] = folder.name
    card["pruning"] = {
        "model": result["model"],
        "budget": result["budget"],
        **{
            when: {key: result[when][key] for key in ("parameters", "multiply_adds")}
            for when in ("before", "after")
        },
    }
    if original.postprocessing:
        card["postprocessing"] = original.postprocessing
    fold = smaller.folds[0]
    carry_notes(original.path, original.name, folder / BUNDLE)
    write_bundle(folder / BUNDLE, smaller.plan, card, {fold: smaller.state(fold)}, smaller.config)
    finish_study(study, {"rounds": len(result["rounds"])})
