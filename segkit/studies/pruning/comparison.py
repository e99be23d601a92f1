"""Compare a model before and after pruning: cost, time, memory, and Dice on validation cases."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from segkit.bundle.bundle import Bundle
from segkit.config.run_file import config_from_dict
from segkit.dataset.split import split_cases
from segkit.evaluation.intervals import (
    SHARE,
    SHARE_DIFFERENCE,
    mean_interval,
    paired_difference,
    verdict,
)
from segkit.inference.scoring.window_scorer import MEMORY_FORMAT, WindowScorer
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.studies.memory_process import is_measurable
from segkit.studies.pruning.latency import window_seconds
from segkit.studies.pruning.selection import empty_window
from segkit.studies.pruning.window_memory import window_memory
from segkit.training.compute.device import device_for
from segkit.training.setup import Setup
from segkit.training.validation import ValidationScore, validate

log = logging.getLogger(__name__)

BEFORE, AFTER = "the original", "the pruned model"
TIMES_SHARE, MEMORY_SHARE = 0.25, 0.35
"""Shares of the time that is left for timing windows, and then for measuring their memory."""
FINISH_SECONDS = 1.0
"""Time that is kept for writing the model and the report."""


def compared(
    original: Bundle,
    smaller: Bundle,
    study: Setup,
    cases: Sequence[PreparedCase],
    *,
    precision: str,
    left: Callable[[], float],
) -> dict[str, Any]:
    """Return cost and Dice of both models, in JSON types.

    Args:
        original: the model before.
        smaller: the model after.
        study: settings and dataset.
        cases: validation cases, of which as many are taken as there is time for, at least one;
            without any there is no Dice.
        precision: precision of both networks.
        left: function that returns the seconds that are left.
    """
    device, models = device_for(study.config), (original, smaller)
    facts, runs = _measured_costs(models, precision=precision, device=device, left=left)
    scores = _scores(models, cases, precision=precision, device=device, left=left)
    before, after = scores
    for own, score in zip(facts, scores, strict=True):
        own["dice"], own["mean_dice"] = score.labels, score.mean
    return {
        "model": {"name": original.name, "hash": original.hash},
        "machine": {
            "device": str(device),
            "precision": precision,
            "threads": torch.get_num_threads(),
            "runs": runs,
        },
        "before": facts[0],
        "after": facts[1],
        "dice": _difference(
            before, after, f"{_note(original, study)}{_left_out(before.cases, len(cases))}"
        ),
    }


def _measured_costs(
    models: Sequence[Bundle],
    *,
    precision: str,
    device: torch.device,
    left: Callable[[], float],
) -> tuple[list[dict[str, Any]], int]:
    """Return the costs of each model, and how many runs of its network were timed."""
    scorers = [
        WindowScorer(model.networks(), model.plan, device=device, precision=precision, tta=False)
        for model in models
    ]
    window = empty_window(models[0].plan)
    times = window_seconds(scorers, window, seconds=TIMES_SHARE * left())
    paths, seconds = [model.path for model in models], MEMORY_SHARE * left()
    memory = window_memory(paths, precision=precision, device=device, seconds=seconds)
    if None in memory and is_measurable(device.type):
        log.info("the memory of a window was not measured: too little time or memory was left")
    facts = [
        {**costs(model.plan), "seconds": own_seconds, "bytes": size}
        for model, own_seconds, size in zip(models, times.seconds, memory, strict=True)
    ]
    return facts, times.runs


def costs(plan: Plan) -> dict[str, Any]:
    """Return parameters, multiply-adds, and the channels of every layer, by stage."""
    parts = convolutions(plan)
    stages = (*plan.network.encoder, *plan.network.decoder)
    return {
        "parameters": parameters(parts),
        "multiply_adds": multiply_adds(parts),
        "channels": [[layer.channels for layer in stage.layers] for stage in stages],
    }


def validated(
    model: Bundle, cases: Sequence[PreparedCase], *, precision: str, device: torch.device
) -> ValidationScore:
    """Return the Dice of a model of one network on prepared cases.

    Args:
        model: the model.
        cases: the cases.
        precision: float32, bfloat16 or float16.
        device: where to predict.
    """
    score = _validation_of(model, precision=precision, device=device)
    return score(cases)


def _validation_of(
    model: Bundle, *, precision: str, device: torch.device
) -> Callable[[Sequence[PreparedCase]], ValidationScore]:
    """Return a function from cases to the Dice of a model of one network."""
    network = network_to_memory_format(model.networks()[0].to(device), MEMORY_FORMAT)
    mode = ComputeMode(precision, MEMORY_FORMAT)
    return partial(validate, network, plan=model.plan, mode=mode, device=device)


def _scores(
    models: Sequence[Bundle],
    cases: Sequence[PreparedCase],
    *,
    precision: str,
    device: torch.device,
    left: Callable[[], float],
) -> list[ValidationScore]:
    """Return the Dice of the models on the same cases, which they predict in turns."""
    scores = [_validation_of(model, precision=precision, device=device) for model in models]
    found: list[list[ValidationScore]] = [[] for _ in models]
    longest, done = 0.0, 0
    for case in cases:
        if done and left() - FINISH_SECONDS < longest:
            break
        started = time.monotonic()
        for own, score in zip(found, scores, strict=True):
            own.append(score([case]))
        longest, done = max(longest, time.monotonic() - started), done + 1
    if done < len(cases):
        log.info("Dice of %d of %d cases, for which there was time", done, len(cases))
    return [joined_scores(own) for own in found]


def joined_scores(scores: Sequence[ValidationScore]) -> ValidationScore:
    """Return the score of all cases of several scores, one case each.

    >>> parts = [ValidationScore({"a": d}, 1, {c: {"a": d}}) for c, d in (("x", 0.5), ("y", 1.0))]
    >>> joined_scores(parts).labels, joined_scores(parts).cases
    ({'a': 0.75}, 2)
    """
    labels: dict[str, list[float]] = {}
    for score in scores:
        for name, dice in score.labels.items():
            labels.setdefault(name, []).append(dice)
    per_case = {case: dice for score in scores for case, dice in score.per_case.items()}
    means = {name: float(np.mean(values)) for name, values in labels.items()}
    return ValidationScore(means, len(scores), per_case)


def _left_out(done: int, cases: int) -> str:
    """Return a sentence on cases for which there was no time, with a space before it.

    >>> _left_out(3, 40), _left_out(40, 40)
    (' There was time for 3 of 40 validation cases.', '')
    """
    return f" There was time for {done} of {cases} validation cases." if done < cases else ""


def _difference(before: ValidationScore, after: ValidationScore, note: str) -> dict[str, Any]:
    """Return the paired difference of the Dice of cases, after minus before."""
    if not before.cases:
        return {
            "cases": 0,
            "verdict": "Dice is not compared: there are no validation cases (fold=all)",
        }
    change = paired_difference(case_values(after), case_values(before), limits=SHARE_DIFFERENCE)
    return {
        "cases": before.cases,
        "before": _as_json(mean_interval(case_values(before), limits=SHARE)),
        "after": _as_json(mean_interval(case_values(after), limits=SHARE)),
        "difference": _as_json(change),
        "verdict": verdict(change, AFTER, BEFORE),
        "note": note,
        "by_case": {
            case: {"before": before.per_case[case], "after": after.per_case[case]}
            for case in before.per_case
        },
    }


def case_values(score: ValidationScore, seed: int = 0) -> dict[tuple[str, int], float]:
    """Return the mean Dice over labels of every case that has a label, by case and seed."""
    return {
        (case, seed): float(np.mean(list(dice.values())))
        for case, dice in score.per_case.items()
        if dice
    }


def _as_json(interval: Any) -> dict[str, Any] | None:
    return None if interval is None else dataclasses.asdict(interval)


def _note(original: Bundle, study: Setup) -> str:
    """Return whether the original model was trained on other cases, in words."""
    if _were_held_out(original, study):
        return "Neither model was trained on these cases."
    return (
        "The original model may have been trained on these cases, since its dataset or fold is"
        " another one (files that were copied or changed count as another dataset): its Dice, and"
        " that of the pruned model, may be too high."
    )


def _were_held_out(original: Bundle, study: Setup) -> bool:
    """Return whether the validation cases of a pruning were also those of the original model."""
    same_data = original.card.get("dataset", {}).get("hash") == study.dataset.content_hash()
    if original.config is None or not same_data:
        return False
    config = config_from_dict(original.config, original.path)
    before, now = (
        {case.id for case in split_cases(study.dataset, one.fold, one.folds).validation}
        for one in (config, study.config)
    )
    return now <= before
