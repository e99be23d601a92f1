"""Cross-validation: one model per fold, out-of-fold predictions of all cases, and an ensemble.

Files of a study:

config.yaml, plan.json, folds.json  what all folds share: one plan, made from all cases
fold_0, fold_1, ...                 the run of each fold
predictions/                        label maps, each by the model that did not see the case
evaluation/                         metrics.csv, cases.csv, summary.json, report.html of these
cross_validation.json, report.html  Dice per fold, mean and spread; gain by post-processing
bundle/                             one model with the weights of all folds
finished.json                       written at the end
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.config.compose import load
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import Interrupted, UsageError
from segkit.evaluation import Evaluation, evaluate
from segkit.evaluation.pairs import find_pairs
from segkit.files.atomic import remove_leftovers, write_text
from segkit.files.locks import sole_use
from segkit.progress import CaseProgress
from segkit.report.cross_validation_page import cross_validation_page
from segkit.report.evaluation_page import write_evaluation
from segkit.studies.comparable import MEASURED
from segkit.studies.cross_validation.folds import (
    HARMONIZED,
    check_overrides,
    folds_of,
    keep_folds,
)
from segkit.studies.cross_validation.joint_entries import joint_entries
from segkit.studies.cross_validation.largest_component import Gain, largest_component_gains
from segkit.studies.cross_validation.out_of_fold import predict_out_of_fold
from segkit.studies.cross_validation.table import (
    case_dice,
    fold_dice,
    fold_rows,
    gain_rows,
    in_common,
    over_folds,
)
from segkit.studies.runs import time_left
from segkit.studies.study_folder import (
    arm,
    continued_config,
    measured_for_all,
    open_study,
    train_arm,
)
from segkit.training.compute.device import device_for
from segkit.training.outputs.card_facts import (
    dataset_facts,
    dice_by_label,
    dice_intervals,
    group_facts,
    patient_count,
)
from segkit.training.outputs.failed_start import START_FILES, undo_failed_start
from segkit.training.outputs.run_folder import (
    BUNDLE,
    CROSS_VALIDATION,
    FINISHED,
    point_latest,
    run_state,
    write_start,
)
from segkit.training.run import is_done
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

KIND = CROSS_VALIDATION
PREDICTIONS, EVALUATION, RESULT = "predictions", "evaluation", f"{KIND}.json"


def cross_validate(*overrides: str, progress: CaseProgress | None = None) -> Path:
    """Train every fold, predict every case out of fold, and return the study's folder.

    Its ``bundle`` is the ensemble of all folds. The same call continues an unfinished study:
    finished folds are not run again.

    Args:
        overrides: KEY=VALUE settings of a training, without ``fold``. ``trainer.max_minutes`` holds
            for each fold; planning and prediction take additional time.
        progress: called while cases are measured.

    Raises:
        UsageError: an override that makes no sense.
        InputError: a dataset or case that cannot be used, such as cases of one patient only.
        Interrupted: Ctrl-C or SIGTERM; the same call continues the study.
    """
    config = load(overrides)
    check_overrides(config, overrides)
    config = continued_config(KIND, overrides)
    if config.run_dir and is_done(Path(config.run_dir), "auto"):
        return Path(config.run_dir)

    def check_folds(dataset: Dataset) -> None:  # before anything is measured
        folds_of(dataset, config.folds)

    setup = open_study(KIND, config, overrides, check=check_folds, progress=progress)
    if is_done(setup.run_dir, "auto"):
        return setup.run_dir
    check_harmonization(setup)
    folds = folds_of(setup.dataset, config.folds)
    with sole_use(setup.run_dir):
        if not is_done(setup.run_dir, "auto"):
            cases = len(setup.dataset.cases)
            log.info("%d cases in %d folds; the study is in %s", cases, len(folds), setup.run_dir)
            _run_study(setup, folds)
    return setup.run_dir


def check_harmonization(setup: Setup) -> None:
    """Check that no fold validates on cases to which the plan's harmonization was fitted.

    That of a model to start from is accepted, as its weights are.

    Raises:
        UsageError: the plan has a harmonization of its own, not that of the model.
    """
    of_weights = setup.weights.plan.harmonization if setup.weights else None
    if setup.plan.harmonization not in (None, of_weights):
        raise UsageError(HARMONIZED)


def _run_study(setup: Setup, folds: list[list[str]]) -> None:
    """Train the folds that are not finished, then predict and evaluate.

    A study that fails before its first fold leaves no files.
    """
    folder = setup.run_dir
    files = (*START_FILES, MEASURED)
    with undo_failed_start(folder, lambda: any(folder.glob("fold_*")), files=files):
        keep_folds(folder, folds)
        write_start(folder, setup.plan, setup.config)
        comparable = dataclasses.replace(setup, config=_comparable_config(setup))
        runs = [_fold(comparable, number) for number in range(len(folds))]
        _train_folds(runs)
    remove_leftovers(folder / PREDICTIONS, folder / EVALUATION)
    _conclude(setup, runs, folds)


def _comparable_config(setup: Setup) -> TrainConfig:
    """Return the configuration with precision, memory format and number of steps fixed.

    They are then the same for all folds (`segkit.studies.comparable`).
    """
    folder = setup.run_dir
    has_folds, has_measured = any(folder.glob("fold_*")), (folder / MEASURED).is_file()
    is_of_older_version = has_folds and not has_measured
    if is_of_older_version:
        return setup.config
    timing = measured_for_all(folder, _fold(setup, 0), "folds")
    return setup.config if timing is None else timing.applied_to(setup.config)


def _fold(setup: Setup, number: int) -> Setup:
    return arm(setup, f"fold_{number}", dataclasses.replace(setup.config, fold=number))


def _train_folds(runs: list[Setup]) -> None:
    unfinished = [run for run in runs if run_state(run.run_dir) != "finished"]
    seconds: list[float] = []
    for number, run in enumerate(runs):
        if run not in unfinished:
            log.info("fold %d (of %d folds) is finished and is not run again", number, len(runs))
            continue
        minutes = run.config.trainer.max_minutes
        left = time_left(len(unfinished) - len(seconds), seconds, minutes)
        log.info("fold %d (of %d folds)%s", number, len(runs), left)
        seconds.append(_train_fold(run, number, len(runs)))


def _train_fold(run: Setup, number: int, count: int) -> float:
    """Train one fold and return the seconds that it took."""
    started = time.monotonic()
    try:
        train_arm(run, latest=True)
    except Interrupted as error:
        raise Interrupted(
            f"stopped in fold {number} (of {count} folds); the same command continues",
            error.exit_code - 128,
        ) from error
    return time.monotonic() - started


def _conclude(setup: Setup, runs: list[Setup], folds: list[list[str]]) -> None:
    """Predict, evaluate, decide on post-processing, and write report and ensemble."""
    folder, dataset = setup.run_dir, setup.dataset
    _predict(setup, runs, folds)
    references, labels = setup.config.dataset.path, dataset.labels
    evaluation = evaluate(
        folder / PREDICTIONS, references, labels=dataset.regions or labels, ignore=dataset.ignore
    )
    write_evaluation(evaluation, folder / EVALUATION)
    pairs = find_pairs(folder / PREDICTIONS, references, labels, dataset.ignore).pairs
    # The rule applies to values of a label map; a region consists of several.
    gains = {} if dataset.regions else largest_component_gains(pairs, labels)
    result = {
        **over_folds(fold_dice(evaluation.rows, folds), case_dice(evaluation.rows)),
        "cases": len(dataset.cases),
        "trainings": _training_facts(runs),
        "largest_piece": _gains_as_json(gains),
    }
    write_text(folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    _write_ensemble(setup, runs, evaluation, gains)
    _write_page(setup, result)
    write_text(folder / FINISHED, json.dumps({"folds": len(folds)}) + "\n")
    point_latest(folder)


def _predict(setup: Setup, runs: list[Setup], folds: list[list[str]]) -> None:
    held_out = [(run.run_dir, ids) for run, ids in zip(runs, folds, strict=True)]
    device = device_for(setup.config).type
    predict_out_of_fold(setup.dataset, held_out, setup.run_dir / PREDICTIONS, device=device)


def _write_page(setup: Setup, result: dict[str, Any]) -> None:
    page = cross_validation_page(
        setup.dataset.name,
        fold_rows(result),
        gain_rows(result["largest_piece"]),
        in_common(result["trainings"]),
    )
    write_text(setup.run_dir / "report.html", page)


def _training_facts(runs: list[Setup]) -> list[dict[str, Any]]:
    """Return precision, memory format and number of steps of every fold, from its bundle."""
    cards = [read_bundle(run.run_dir).card["training"] for run in runs]
    return [{key: card.get(key) for key in ("precision", "layout", "steps")} for card in cards]


def _gains_as_json(gains: dict[str, Gain]) -> dict[str, Any]:
    return {
        name: {"before": gain.before, "after": gain.after, "adopted": gain.adopted}
        for name, gain in gains.items()
    }


def _write_ensemble(
    setup: Setup, runs: list[Setup], evaluation: Evaluation, gains: dict[str, Gain]
) -> None:
    """Write one bundle with the weights of every fold and the out-of-fold metrics."""
    bundles = [read_bundle(run.run_dir) for run in runs]
    summary = evaluation.summary
    card: dict[str, Any] = {
        "name": setup.run_dir.name,
        "dataset": {
            **dataset_facts(setup.dataset),
            "hash": bundles[0].card["dataset"]["hash"],
            **group_facts(setup.dataset.cases),
        },
        "training": {
            "study": KIND,
            "cases": len(setup.dataset.cases),
            "steps": [bundle.card["training"]["steps"] for bundle in bundles],
            "minutes": round(sum(bundle.card["training"]["minutes"] for bundle in bundles), 2),
            "seed": setup.config.seed,
            "patients": patient_count(setup.dataset.cases),
            "machine": bundles[0].card["training"].get("machine"),
            "versions": bundles[0].card["training"].get("versions"),
        },
        "metrics": {
            "dice": {name: metrics["dice"] for name, metrics in summary["labels"].items()},
            "mean_dice": summary["mean"]["dice"],
            "cases": len(summary["cases"]),
            "intervals": dice_intervals(dice_by_label(evaluation.rows), setup.dataset.cases),
        },
        **joint_entries(bundles, [run.run_dir for run in runs]),
    }
    rules = {name: "largest" for name, gain in gains.items() if gain.adopted}
    if rules:
        card["postprocessing"] = rules
    states = {bundle.folds[0]: bundle.state(bundle.folds[0]) for bundle in bundles}
    # The folds of one network have the same mask.
    mask = find_mask(bundles[0].path) if setup.config.mask else None
    config = dataclasses.asdict(setup.config)
    write_bundle(setup.run_dir / BUNDLE, setup.plan, card, states, config, mask=mask)
