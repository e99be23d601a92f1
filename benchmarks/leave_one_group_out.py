"""Does harmonization help on scans of a group that the training has not seen?

    python benchmarks/leave_one_group_out.py DATASET --groups groups.csv [--out runs/held_out]
                                   [--methods raw zscore spline] [--seeds 0 1 2] [--steps 300]

groups.csv has the columns case and group, as 'segkit harmonize discover DATASET -o groups.csv'
writes it; every case needs a group. Each group is held out in turn (folds_by=group), and every
method is trained with every seed on the others:

raw      clipped to the range of 99 % of the training scans and scaled by their mean and standard
         deviation, the same numbers for every scan, as CT is: differences between scanners stay
zscore   each scan by its own mean and standard deviation, which segkit does by default
nyul, spline   plan.harmonization, fitted to the training cases, and z-scores after it

The held-out group is unknown to a spline, which maps its scans by their own quantiles. Everything
else is equal: patch, network, steps, seeds. Dice is that of all cases of the held-out group, at the
end of the training. With the default setting a training takes about a minute on two cores, 27 of
them half an hour. The command can be stopped and typed again: finished trainings are not repeated,
and an unfinished one continues. More seeds and methods may be given; another dataset, other groups,
features or steps need another folder (settings.json there says which it has). Print a table in
Markdown, and write results.csv into the folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import segkit
from segkit.bundle.bundle import read_bundle
from segkit.config.compose import load
from segkit.dataset.dataset import Dataset
from segkit.dataset.split import split_cases
from segkit.files.atomic import write_text
from segkit.planning.harmonization import measured_values
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import ChannelPlan
from segkit.plans.plan_file import plan_text
from segkit.report.tables import csv_text

METHODS = ("raw", "zscore", "nyul", "spline")
Key = tuple[str, str, int]
"""Method, group that is held out, and seed."""


def main() -> None:
    """Run what is missing, write results.csv and print the table."""
    given = _parser().parse_args()
    config = load([*_data(given), f"dataset.store={given.out / 'prepared'}"])
    dataset = open_dataset(config)
    groups = sorted({case.group for case in dataset.cases})
    keep_settings(given.out / "settings.json", settings_of(dataset, given))
    dice: dict[Key, dict[str, float]] = {}
    for fold, group in enumerate(groups):
        for seed in given.seeds:
            for method in given.methods:
                dice[method, group, seed] = _trained(given, method, fold=fold, seed=seed)
                _write(given.out / "results.csv", dice)
    print(_table(dice, given.methods, groups))


def settings_of(dataset: Dataset, given: argparse.Namespace) -> dict[str, Any]:
    """Return what determines all trainings besides method, held-out group and seed."""
    groups = json.dumps({case.id: case.group for case in dataset.cases}, sort_keys=True)
    return {
        "dataset": dataset.content_hash(),
        "groups": hashlib.sha256(groups.encode()).hexdigest()[:12],
        "features": given.features,
        "steps": given.steps,
    }


def keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new folder; in one with trainings, check that they are the same.

    Raises:
        SystemExit: trainings with other settings, or without a record of them.
    """
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
    elif any(path.parent.glob("fold*")):
        stored = {}
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(settings, indent=2) + "\n")
        return
    other = [name for name, value in settings.items() if stored.get(name) != value]
    if other:
        raise SystemExit(
            f"{path.parent} has trainings with other settings ({', '.join(other)}): "
            "give another --out"
        )


def _data(given: argparse.Namespace) -> list[str]:
    return [f"dataset={given.dataset}", f"dataset.groups={given.groups}", "folds_by=group"]


def _trained(given: argparse.Namespace, method: str, *, fold: int, seed: int) -> dict[str, float]:
    """Return the Dice of each label in the held-out group; train unless the run is finished."""
    run = given.out / f"fold{fold}-{method}-seed{seed}"
    shape = [f"network.features=[{','.join(map(str, given.features))}]"]
    if method == "raw":
        shape = [f"plan={_raw_plan(given, fold, shape)}"]
    elif method != "zscore":
        shape.append(f"plan.harmonization={method}")
    segkit.train(
        *_data(given),
        *shape,
        f"dataset.store={given.out / 'prepared'}",
        f"run_dir={run}",
        f"fold={fold}",
        f"seed={seed}",
        f"trainer.max_steps={given.steps}",
        "trainer.precision=float32",
        "trainer.layout=contiguous",
        "trainer.validations=1",
        resume="auto",
    )
    metrics = read_bundle(run).card["metrics"]
    return {**metrics["dice"], "mean": metrics["mean_dice"]}


def _raw_plan(given: argparse.Namespace, fold: int, shape: list[str]) -> Path:
    """Return the path of the plan of a fold in which all scans are scaled by the same numbers."""
    path: Path = given.out / f"fold{fold}-raw.json"
    if path.is_file():
        return path
    words = [*_data(given), *shape, f"fold={fold}", f"dataset.store={given.out / 'prepared'}"]
    config = load(words)
    dataset = open_dataset(config)
    training = split_cases(dataset, config.fold, config.folds).training
    values = measured_values(training, dataset.channels)
    channels = []
    for index, name in enumerate(dataset.channels):
        pooled = np.concatenate([scan[index].quantiles for scan in values])
        lower, upper = (float(end) for end in np.quantile(pooled, [0.005, 0.995]))
        kept = np.clip(pooled, lower, upper)
        channels.append(
            ChannelPlan(name, "ct", lower, upper, float(kept.mean()), float(kept.std()))
        )
    plan = segkit.plan(given.dataset, *words[1:])
    write_text(path, plan_text(dataclasses.replace(plan, channels=tuple(channels))))
    return path


def _write(path: Path, dice: dict[Key, dict[str, float]]) -> None:
    rows = [
        [*key, label, f"{value:.6g}"]
        for key, labels in dice.items()
        for label, value in labels.items()
    ]
    write_text(path, csv_text(["method", "held_out", "seed", "label", "dice"], rows))


def _table(dice: dict[Key, dict[str, float]], methods: list[str], groups: list[str]) -> str:
    """Return mean and standard deviation over seeds of each method in each held-out group."""
    lines = [
        f"| | {' | '.join(f'{group} held out' for group in groups)} | mean of groups |",
        "|---|" + "---|" * (len(groups) + 1),
    ]
    for method in methods:
        means, cells = [], []
        for group in groups:
            seeds = [found["mean"] for key, found in dice.items() if key[:2] == (method, group)]
            means.append(mean(seeds))
            spread = f" ({stdev(seeds):.4f})" if len(seeds) > 1 else ""
            cells.append(f"{means[-1]:.4f}{spread}")
        lines.append(f"| {method} | {' | '.join(cells)} | {mean(means):.4f} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--groups", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/held_out"))
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["raw", "zscore", "spline"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--features", nargs="+", type=int, default=[8, 16, 32])
    return parser


if __name__ == "__main__":
    main()
