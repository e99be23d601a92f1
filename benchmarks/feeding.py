"""Measure augmented patches per second: segkit, MONAI and nnU-Net on the same prepared cases, one
after the other.

    python benchmarks/feeding.py DATASET [plan.patch=[96,96,96] ...] [--workers 0 1 2] [--seconds 6]
    [--rounds 3]
                                         [--cases 40] [--peer-python peers/bin/python]

Every tool draws batches of two patches with its own sampling, the same kinds of transforms at
nnU-Net's probabilities, and labels at every resolution of the plan's heads (counted where the tool
computes them). A consumer only takes the batches. The tools take turns, so that a disturbance
affects all of them. On a busy machine CPU time, of the consumer and its workers together, is more
reliable than wall time. nnU-Net runs with --peer-python, an interpreter of an environment with
nnunetv2, and is left out without it. Prints a table in Markdown. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from clock import count_patches
from torch.utils.data import DataLoader

import segkit
from segkit.config.schema import AugmentConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.plans.plan_file import plan_text, read_plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.training.data.patches import PatchDataset, PatchNumbers, PatchRules
from segkit.training.optimization.losses import at_resolution

BATCH = 2
FOREGROUND = 0.33
NNUNET = {"rotate": 0.2, "scale": 0.2, "noise_std": 0.1}
"""Settings in which segkit's defaults differ from nnU-Net."""


def main() -> None:
    """Measure every tool with every number of workers, in turns, and print the table."""
    arguments = _parser().parse_args()
    if arguments.work:
        return _measure_segkit(Path(arguments.work), arguments.workers[0], arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _prepare(arguments, work)
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _, workers, tool in product(
            range(arguments.rounds), arguments.workers, _tools(arguments)
        ):
            found.setdefault((tool, workers), []).append(_measured(arguments, tool, workers, work))
    print(_table(found))


def _tools(arguments: argparse.Namespace) -> list[str]:
    return ["segkit", "monai", *(["nnunet"] if arguments.peer_python else [])]


def _prepare(arguments: argparse.Namespace, work: Path) -> None:
    """Write the plan, segkit's prepared cases, and the same cases as plain arrays for the peers."""
    plan = segkit.plan(arguments.dataset, "augment.mirror=[0,1,2]", *arguments.overrides)
    (work / "plan.json").write_text(plan_text(plan), encoding="utf-8")
    sizes = plan.network.sizes(plan.patch)[len(plan.network.encoder) :][::-1]
    task = {"patch": plan.patch, "heads": sizes, "labels": len(plan.labels)}
    (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
    (work / "dataset.json").write_text(
        json.dumps([str(arguments.dataset), arguments.cases]), encoding="utf-8"
    )
    for number, case in enumerate(_cases(work)):
        np.save(work / f"image_{number}.npy", np.asarray(case.image))
        np.save(work / f"labels_{number}.npy", np.asarray(case.labels))


def _cases(work: Path) -> list[PreparedCase]:
    path, count = json.loads((work / "dataset.json").read_text(encoding="utf-8"))
    dataset: Dataset = read_dataset(Path(path))
    return prepare_cases(
        dataset.cases[:count], dataset, read_plan(work / "plan.json"), work / "prepared"
    )


def _measured(
    arguments: argparse.Namespace, tool: str, workers: int, work: Path
) -> tuple[float, float]:
    """Return patches per second and CPU milliseconds per patch, measured in a separate process."""
    how = ["--workers", str(workers), "--seconds", str(arguments.seconds)]
    if tool == "segkit":
        command = [sys.executable, __file__, "", "--work", str(work), *how]
    else:
        python = arguments.peer_python if tool == "nnunet" else sys.executable
        command = [python, str(Path(__file__).with_name("feeding_peers.py")), tool, str(work), *how]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(printed[-2]), float(printed[-1])


def _measure_segkit(work: Path, workers: int, seconds: float) -> None:
    heads = json.loads((work / "task.json").read_text(encoding="utf-8"))["heads"]
    rules = PatchRules(
        read_plan(work / "plan.json"), AugmentConfig(**NNUNET), seed=0, foreground=FOREGROUND
    )
    patches = PatchDataset(_cases(work), rules)
    loader = DataLoader(patches, batch_size=BATCH, sampler=PatchNumbers(), num_workers=workers)

    def take(batch: dict[str, torch.Tensor]) -> None:
        labels = batch["labels"].long()
        _ = [at_resolution(labels, head) for head in heads]

    print(*count_patches(map(take, loader), BATCH, seconds))


def _table(found: dict[tuple[str, int], list[tuple[float, float]]]) -> str:
    lines = [
        (
            "| tool | workers | patches/s, median (all) | CPU ms/patch | segkit's rate to its | its"
            " CPU to segkit's |"
        ),
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (tool, workers), pairs in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        own = found["segkit", workers]
        rates, costs = ([pair[column] for pair in pairs] for column in (0, 1))
        ahead = median(mine[0] / theirs[0] for mine, theirs in zip(own, pairs, strict=True))
        cheaper = median(theirs[1] / mine[1] for mine, theirs in zip(own, pairs, strict=True))
        every = f"{median(rates):.1f} ({', '.join(f'{rate:.0f}' for rate in rates)})"
        lines.append(
            f"| {tool} | {workers} | {every} | {median(costs):.2f} | {ahead:.2f} | {cheaper:.2f} |"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the plan")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--peer-python")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
