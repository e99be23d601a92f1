"""Compare a model before and after pruning: cost, time, memory, and Dice on validation cases."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from segkit.bundle.bundle import Bundle
from segkit.config.run_file import config_from_dict
from segkit.inference.scoring.window_scorer import MEMORY_FORMAT, WindowScorer
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.studies.intervals import mean_interval, paired_difference, verdict
from segkit.studies.pruning.latency import window_seconds
from segkit.studies.pruning.selection import empty_window
from segkit.studies.pruning.window_memory import window_memory
from segkit.training.compute.device import device_for
from segkit.training.data.split import split_cases
from segkit.training.setup import Setup
from segkit.training.validation import ValidationScore, validate

log = logging.getLogger(__name__)

BEFORE, AFTER = "the original", "the pruned model"
BEFORE_SHARE = 0.55
"""Share of the time for Dice in which the original model predicts."""


def compared(
    original: Bundle,
    smaller: Bundle,
    study: Setup,
    cases: Sequence[PreparedCase],
    *,
    precision: str,
    seconds: float,
) -> dict[str, Any]:
    """Return cost and Dice of both models, in JSON types.

    Args:
        original: the model before.
        smaller: the model after.
        study: settings and dataset.
        cases: validation cases; without any there is no Dice.
        precision: precision of both networks.
        seconds: time for predicting the cases, of which as many are taken as fit.
    """
    device = device_for(study.config)
    models = (original, smaller)
    times = window_seconds(
        [
            WindowScorer(
                model.networks(), model.plan, device=device, precision=precision, tta=False
            )
            for model in models
        ],
        empty_window(original.plan),
    )
    memory = window_memory([model.path for model in models], precision=precision, device=device)
    facts = [
        {**costs(model.plan), "seconds": value, "bytes": size}
        for model, value, size in zip(models, times, memory, strict=True)
    ]
    scores = _scores(original, smaller, cases, precision=precision, device=device, seconds=seconds)
    for own, score in zip(facts, scores, strict=True):
        own["dice"], own["mean_dice"] = score.labels, score.mean
    return {
        "model": {"name": original.name, "hash": original.hash},
        "machine": {
            "device": str(device),
            "precision": precision,
            "threads": torch.get_num_threads(),
        },
        "before": facts[0],
        "after": facts[1],
        "dice": _difference(*scores, _note(original, study)),
    }


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
    model: Bundle,
    cases: Sequence[PreparedCase],
    *,
    precision: str,
    device: torch.device,
    is_enough: Callable[[int], bool] = lambda _done: False,
) -> ValidationScore:
    """Return the Dice of a model of one network on prepared cases.

    Args:
        model: the model.
        cases: the cases.
        precision: float32, bfloat16 or float16.
        device: where to predict.
        is_enough: called after each case with the number of cases done; True skips the rest.
    """
    network = network_to_memory_format(model.networks()[0].to(device), MEMORY_FORMAT)
    mode = ComputeMode(precision, MEMORY_FORMAT)
    return validate(network, cases, model.plan, mode=mode, device=device, is_enough=is_enough)


def _scores(
    original: Bundle,
    smaller: Bundle,
    cases: Sequence[PreparedCase],
    *,
    precision: str,
    device: torch.device,
    seconds: float,
) -> tuple[ValidationScore, ValidationScore]:
    """Return the Dice of both models on the same cases."""
    where: dict[str, Any] = {"precision": precision, "device": device}
    started = time.monotonic()
    # The original one is the slower one; its share of the time is the larger one.
    before = validated(
        original,
        cases,
        is_enough=lambda _done: time.monotonic() - started > BEFORE_SHARE * seconds,
        **where,
    )
    after = validated(smaller, cases, is_enough=lambda done: done >= before.cases, **where)
    if before.cases < len(cases):
        log.info("Dice of %d of %d cases, for which there was time", before.cases, len(cases))
    return before, after


def _difference(before: ValidationScore, after: ValidationScore, note: str) -> dict[str, Any]:
    """Return the paired difference of the Dice of cases, after minus before."""
    if not before.cases:
        return {
            "cases": 0,
            "verdict": "Dice is not compared: there are no validation cases (fold=all)",
        }
    change = paired_difference(case_values(after), case_values(before))
    return {
        "cases": before.cases,
        "before": _as_json(mean_interval(case_values(before))),
        "after": _as_json(mean_interval(case_values(after))),
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
        "The original model has another dataset or fold, and may have been trained on these cases:"
        " its Dice, and that of the pruned model, may be too high."
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
