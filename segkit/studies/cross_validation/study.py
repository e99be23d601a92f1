"""Cross-validation: a model per fold, every case predicted by the one that did not see it, and one ensemble.

config.yaml, plan.json, folds.json  what all folds have in common: one plan, made from all cases
fold_0, fold_1, ...                 the run of each fold
predictions/                        label maps, each by the model that did not see the case
evaluation/                         metrics.csv, cases.csv, summary.json, report.html of these
cross_validation.json, report.html  Dice per fold, mean and spread; what post-processing does
bundle/                             one model with the weights of all folds
finished.json                       written at the end
"""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
import time
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.precision_agreement import joint_agreement
from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.errors import Interrupted
from segkit.evaluation import Evaluation, evaluate
from segkit.evaluation.pairs import find_pairs
from segkit.files.atomic import remove_leftovers, write_text
from segkit.files.locks import check_free, sole_use
from segkit.planning.plan_dataset import open_dataset
from segkit.progress import CaseProgress
from segkit.report.cross_validation_page import cross_validation_page
from segkit.report.evaluation_page import write_evaluation
from segkit.studies.comparable import MEASURED, described, is_open, measured_once
from segkit.studies.cross_validation.folds import check_overrides, folds_of, keep_folds
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
from segkit.studies.measured_precision import measured, mode_of
from segkit.studies.runs import time_left
from segkit.training.compute.device import device_for
from segkit.training.outputs.failed_start import START_FILES, undo_failed_start
from segkit.training.outputs.run_folder import (
    BUNDLE,
    FINISHED,
    check_kind,
    point_latest,
    prepared_folder,
    run_state,
    write_start,
)
from segkit.training.resume import resumed_config
from segkit.training.run import is_done, start
from segkit.training.setup import Setup, set_up

log = logging.getLogger(__name__)

KIND = "cross_validation"
PREDICTIONS, EVALUATION, RESULT = "predictions", "evaluation", f"{KIND}.json"


def cross_validate(*overrides: str, progress: CaseProgress | None = None) -> Path:
    """Train every fold, predict every case out of fold, and return the study's folder; its ``bundle`` is the ensemble.

    Overrides are those of a training, without ``fold``. The same call goes on with an unfinished study: finished folds
    are not run again. ``trainer.max_minutes`` holds for each fold, planning and prediction come on top.

    Raises:
        UsageError: an override that makes no sense.
        InputError: a dataset or case that cannot be used, such as cases of one patient only.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    config = load(overrides)
    check_overrides(config, overrides)
    if config.run_dir:
        check_kind(Path(config.run_dir), study=True)
        if run_state(Path(config.run_dir)) == "unfinished":
            check_free(Path(config.run_dir))
        config = resumed_config(config, overrides)
        if is_done(Path(config.run_dir or ""), "auto"):
            return Path(config.run_dir or "")
    dataset = open_dataset(config)
    folds_of(dataset, config.folds)  # too few cases are said before anything is measured
    setup = set_up(config, dataset, given=given_keys(overrides), kind=KIND, progress=progress)
    if is_done(setup.run_dir, "auto"):
        return setup.run_dir
    folds = folds_of(setup.dataset, config.folds)
    with sole_use(setup.run_dir):
        if not is_done(setup.run_dir, "auto"):
            log.info(
                "%d cases in %d folds; the study is in %s",
                len(dataset.cases),
                len(folds),
                setup.run_dir,
            )
            _study(setup, folds)
    return setup.run_dir


def _study(setup: Setup, folds: list[list[str]]) -> None:
    """Train what is left to train, and conclude; a study without a fold that has begun leaves nothing."""
    folder = setup.run_dir
    written = (*START_FILES, MEASURED)
    with undo_failed_start(folder, lambda: any(folder.glob("fold_*")), files=written):
        keep_folds(folder, folds)
        write_start(folder, setup.plan, setup.config)
        trained = dataclasses.replace(setup, config=_comparable(setup))
        runs = [_fold_setup(trained, number) for number in range(len(folds))]
        _train_folds(runs)
    remove_leftovers(folder / PREDICTIONS, folder / EVALUATION)
    _conclude(setup, runs, folds)


def _comparable(setup: Setup) -> TrainConfig:
    """The configuration with precision, layout and number of steps fixed for all folds (see `comparable`)."""
    folder = setup.run_dir
    begun = any(folder.glob("fold_*")) and not (folder / MEASURED).is_file()  # by an older segkit
    if begun or not is_open(setup.config.trainer):
        return setup.config
    first = _fold_setup(setup, 0)
    found = measured_once(folder, [lambda: measured(mode_of(first), first.config)])
    if found is None:
        return setup.config
    log.info("all folds: %s", described(found))
    return found.applied_to(setup.config)


def _fold_setup(setup: Setup, number: int) -> Setup:
    run_dir = setup.run_dir / f"fold_{number}"
    # Beside the study, where other runs find them too.
    store = setup.config.dataset.store or str(prepared_folder(setup.config, setup.run_dir))
    data = dataclasses.replace(setup.config.dataset, store=store)
    config = dataclasses.replace(setup.config, fold=number, run_dir=str(run_dir), dataset=data)
    return dataclasses.replace(setup, config=config, run_dir=run_dir)


def _train_folds(runs: list[Setup]) -> None:
    left = [run for run in runs if run_state(run.run_dir) != "finished"]
    seconds: list[float] = []
    for number, run in enumerate(runs):
        if run not in left:
            log.info("fold %d (of %d folds) is finished and is not run again", number, len(runs))
            continue
        words = time_left(len(left) - len(seconds), seconds, run.config.trainer.max_minutes)
        log.info("fold %d (of %d folds)%s", number, len(runs), words)
        seconds.append(_train_fold(run, number, len(runs)))


def _train_fold(run: Setup, number: int, count: int) -> float:
    """Returns the seconds that it took."""
    started = time.monotonic()
    try:
        with sole_use(run.run_dir):
            start(run)
    except Interrupted as error:
        raise Interrupted(
            f"stopped in fold {number} (of {count} folds); the same command goes on",
            error.exit_code - 128,
        ) from error
    gc.collect()  # network, optimiser and workers of a run hang in cycles
    return time.monotonic() - started


def _conclude(setup: Setup, runs: list[Setup], folds: list[list[str]]) -> None:
    """Predict, evaluate, decide on post-processing, and write report and ensemble."""
    folder, dataset = setup.run_dir, setup.dataset
    held_out = [(run.run_dir, ids) for run, ids in zip(runs, folds, strict=True)]
    predict_out_of_fold(
        dataset, held_out, folder / PREDICTIONS, device=device_for(setup.config).type
    )
    references, labels = setup.config.dataset.path, dataset.labels
    evaluation = evaluate(
        folder / PREDICTIONS, references, labels=dataset.regions or labels, ignore=dataset.ignore
    )
    write_evaluation(evaluation, folder / EVALUATION)
    pairs = find_pairs(folder / PREDICTIONS, references, labels, dataset.ignore).pairs
    # A region is no label of a label map, of which pieces could be taken away.
    gains = {} if dataset.regions else largest_component_gains(pairs, labels)
    result = {
        **over_folds(fold_dice(evaluation.rows, folds), case_dice(evaluation.rows)),
        "cases": len(dataset.cases),
        "trainings": _in_common(runs),
        "largest_piece": _json(gains),
    }
    write_text(folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    _write_ensemble(setup, runs, evaluation, gains)
    write_text(
        folder / "report.html",
        cross_validation_page(
            dataset.name,
            fold_rows(result),
            gain_rows(result["largest_piece"]),
            in_common(result["trainings"]),
        ),
    )
    write_text(folder / FINISHED, json.dumps({"folds": len(folds)}) + "\n")
    point_latest(folder)


def _in_common(runs: list[Setup]) -> list[dict[str, Any]]:
    """Precision, layout and number of steps of every fold, as its bundle says."""
    cards = [read_bundle(run.run_dir).card["training"] for run in runs]
    return [{key: card.get(key) for key in ("precision", "layout", "steps")} for card in cards]


def _json(gains: dict[str, Gain]) -> dict[str, Any]:
    return {
        name: {"before": gain.before, "after": gain.after, "adopted": gain.adopted}
        for name, gain in gains.items()
    }


def _write_ensemble(
    setup: Setup, runs: list[Setup], evaluation: Evaluation, gains: dict[str, Gain]
) -> None:
    """One bundle with the weights of every fold and the out-of-fold figures."""
    bundles = [read_bundle(run.run_dir) for run in runs]
    summary = evaluation.summary
    card: dict[str, Any] = {
        "name": setup.run_dir.name,
        "dataset": bundles[0].card["dataset"],
        "training": {
            "study": KIND,
            "cases": len(setup.dataset.cases),
            "steps": [bundle.card["training"]["steps"] for bundle in bundles],
            "minutes": round(sum(bundle.card["training"]["minutes"] for bundle in bundles), 2),
            "seed": setup.config.seed,
        },
        "metrics": {
            "dice": {name: metrics["dice"] for name, metrics in summary["labels"].items()},
            "mean_dice": summary["mean"]["dice"],
            "cases": len(summary["cases"]),
        },
        **joint_agreement([bundle.card for bundle in bundles]),
    }
    if rules := {name: "largest" for name, gain in gains.items() if gain.adopted}:
        card["postprocessing"] = rules
    states = {bundle.folds[0]: bundle.state(bundle.folds[0]) for bundle in bundles}
    write_bundle(setup.run_dir / BUNDLE, setup.plan, card, states, dataclasses.asdict(setup.config))
