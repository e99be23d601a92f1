"""Measure Dice after some minutes of training: segkit, nnU-Net and MONAI on the same cases and
machine, one after the other.

    python benchmarks/minutes_to_dice.py DATASET [KEY=VALUE ...] [--minutes 20]
        [--tools segkit nnunet nnunet_no_mirroring monai] [--seeds 0] [--threads 2] [--samples 1]
        [--peer-python .venv-peers/bin/python] [--out runs/minutes_to_dice]

Minutes of wall time run from the start of a tool's process until its model is written: planning,
preprocessing and any validation by the tool are included. nnU-Net trains with batch size 2, and its
learning rate decays to the end of that time; nnunet_no_mirroring is its own trainer of that name.
monai is the recipe of a MONAI tutorial (see peer_monai.py), with segkit's spacing and patch, since
MONAI plans neither. The peers' copy of the data is made before and not counted. Then every model
predicts the cases of fold 0 that it was not trained on, without test-time augmentation, and `segkit
evaluate` compares all of them with the references on the scans' own grids. KEY=VALUE are overrides
of segkit. Models of one dataset belong into one --out, which holds the peers' copy of it.

A finished training is not repeated, so the command can be stopped and run again with more tools or
seeds. Peak memory of the training is PSS summed over the process tree (Linux only), with one sample
a second or --samples, which take time from the training. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from nnunet_copy import bring_back, file_ending, write_copy
from processes import PeakMemory

import segkit
from segkit.config.compose import load
from segkit.dataset.dataset import Dataset
from segkit.dataset.split import Split, split_cases
from segkit.planning.plan_dataset import open_dataset

FOLD = 0


@dataclass(frozen=True)
class Job:
    """Training with one tool and seed."""

    tool: str
    seed: int
    minutes: float
    folder: Path


def main() -> None:
    """Train, predict and evaluate what is missing, and print the table."""
    arguments = _parser().parse_args()
    dataset = open_dataset(load([f"dataset={arguments.dataset}"]))
    split = split_cases(dataset, FOLD)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    for tool in arguments.tools:
        for seed in arguments.seeds:
            job = _job(arguments, tool, seed)
            if not (job.folder / "result.json").is_file():
                _run(job, arguments, dataset, split)
    print(
        _table(
            [_job(arguments, tool, seed) for tool in arguments.tools for seed in arguments.seeds]
        )
    )


def _job(arguments: argparse.Namespace, tool: str, seed: int) -> Job:
    name = f"{tool}-{arguments.minutes:g}min-{arguments.threads}threads-seed{seed}"
    return Job(tool, seed, arguments.minutes, Path(arguments.out).absolute() / name)


def _run(job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split) -> None:
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    measure = _segkit if job.tool == "segkit" else _peer
    measured = measure(job, arguments, dataset, split)
    _call(
        [
            *SEGKIT,
            "evaluate",
            str(job.folder / "predicted"),
            arguments.dataset,
            "-o",
            str(job.folder / "scores"),
        ]
    )
    scores = json.loads((job.folder / "scores" / "summary.json").read_text(encoding="utf-8"))[
        "labels"
    ]
    measured["dice"] = {name: score["dice"] for name, score in scores.items()}
    (job.folder / "result.json").write_text(json.dumps(measured), encoding="utf-8")


SEGKIT = [sys.executable, "-m", "segkit"]


def _segkit(
    job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split
) -> dict[str, object]:
    train = [
        *SEGKIT,
        "train",
        f"dataset={arguments.dataset}",
        f"run_dir={job.folder / 'run'}",
        f"fold={FOLD}",
    ]
    train += [
        f"dataset.store={job.folder / 'prepared'}",
        f"trainer.max_minutes={job.minutes}",
        f"seed={job.seed}",
    ]
    measured = _measured(
        [*train, *arguments.overrides], job.folder / "train.log", arguments.samples
    )
    measured["steps"] = json.loads(
        (job.folder / "run" / "finished.json").read_text(encoding="utf-8")
    )["steps"]
    table = job.folder / "cases.csv"
    _write_cases(table, dataset, split)
    _call(
        [
            *SEGKIT,
            "predict",
            str(table),
            "-m",
            str(job.folder / "run"),
            "-o",
            str(job.folder / "predicted"),
        ]
    )
    return measured


def _write_cases(table: Path, dataset: Dataset, split: Split) -> None:
    """Write the validation cases for `segkit predict`."""
    images = (
        ["image"]
        if len(split.validation[0].images) == 1
        else [f"image:{name}" for name in dataset.channels]
    )
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", *images])
        writer.writerows(
            [case.id, *(str(path.resolve()) for path in case.images)] for case in split.validation
        )


def _peer(
    job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split
) -> dict[str, object]:
    """Train and predict with a peer, and give its labels the values and names of the dataset."""
    raw = Path(arguments.out).absolute() / "nnunet_raw"
    data = write_copy(raw, dataset, split)
    name, *options = _monai(arguments) if job.tool == "monai" else _nnunet(job, dataset)
    script = str(Path(__file__).with_name(name))
    command = [arguments.peer_python, script, str(job.folder), "--data", str(data), *options]
    train = [
        *command,
        "--minutes",
        str(job.minutes),
        "--seed",
        str(job.seed),
        "--threads",
        str(arguments.threads),
    ]
    measured = _measured(train, job.folder / "train.log", arguments.samples)
    measured["steps"] = json.loads((job.folder / "steps.json").read_text(encoding="utf-8"))
    _call([*command, "--predict", *(case.id for case in split.validation)])
    bring_back(job.folder / "peer_predicted", job.folder / "predicted", dataset, split)
    return measured


def _nnunet(job: Job, dataset: Dataset) -> list[str]:
    options = ["--configuration", "2d" if file_ending(dataset) == ".png" else "3d_fullres"]
    return [
        "peer_nnunet.py",
        *options,
        *(["--no-mirroring"] if job.tool == "nnunet_no_mirroring" else []),
    ]


def _monai(arguments: argparse.Namespace) -> list[str]:
    plan = segkit.plan(arguments.dataset, *arguments.overrides)
    return ["peer_monai.py", "--spacing", *map(str, plan.spacing), "--patch", *map(str, plan.patch)]


def _measured(command: Sequence[str], log: Path, samples: float) -> dict[str, object]:
    """Run a command and return its wall time and peak memory."""
    print("running", *command, file=sys.stderr, flush=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        with PeakMemory(process.pid, per_second=samples) as peak:
            code = process.wait()
    if code:
        raise SystemExit(f"exit {code}; see {log}")
    return {"seconds": time.monotonic() - started, "bytes": peak.bytes}


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")


def _table(jobs: Sequence[Job]) -> str:
    results = [json.loads((job.folder / "result.json").read_text(encoding="utf-8")) for job in jobs]
    labels = list(results[0]["dice"])
    lines = [
        "| tool | seed | steps | seconds | GiB | mean Dice | " + " | ".join(labels) + " |",
        "| --- " * (6 + len(labels)) + "|",
    ]
    for job, result in zip(jobs, results, strict=True):
        dice = result["dice"]
        about = [
            job.tool,
            job.seed,
            result["steps"],
            f"{result['seconds']:.0f}",
            f"{result['bytes'] / 2**30:.2f}",
        ]
        cells = [
            *map(str, about),
            f"**{mean(dice.values()):.4f}**",
            *(f"{dice[name]:.4f}" for name in labels),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of segkit train")
    parser.add_argument("--minutes", type=float, default=20)
    tools = ["segkit", "nnunet", "nnunet_no_mirroring", "monai"]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=float, default=1, help="of the memory, per second")
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    parser.add_argument("--out", default="runs/minutes_to_dice")
    return parser


if __name__ == "__main__":
    main()
