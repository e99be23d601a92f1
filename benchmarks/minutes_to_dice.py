"""Dice after some minutes: segkit and nnU-Net on the same training cases, on the same machine, one after the other.

    python benchmarks/minutes_to_dice.py DATASET [KEY=VALUE ...] [--minutes 20]
        [--tools segkit nnunet nnunet_no_mirroring] [--seeds 0] [--threads 2] [--samples 1]
        [--peer-python .venv-peers/bin/python] [--out runs/minutes_to_dice]

Minutes of wall time run from the start of a tool's process until its model is written: planning, preprocessing and
whatever validation the tool does meanwhile are part of them. nnU-Net trains at batch size 2, its learning rate falling
to the end of that time; nnunet_no_mirroring is its own trainer of that name. Its copy of the data is made beforehand
and not counted. Then every model predicts the cases of fold 0 that it was not trained on, without test-time
augmentation, and `segkit evaluate` compares all of them with the references on the scans' own grids. KEY=VALUE are
overrides of segkit. Models of one dataset belong into one --out, which holds nnU-Net's copy of it.

A training that is done is not repeated, so the command can be stopped and given again with more tools or seeds. Beside
the Dice it tells the peak memory of the training: PSS summed over the process tree (Linux only), one sample a second
or --samples, which take time from the training. Prints a table in Markdown.
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

import numpy as np
from processes import PeakMemory

from segkit.config import load
from segkit.dataset import Dataset
from segkit.dataset_plan import open_dataset
from segkit.io.labels import read_labels, write_labels
from segkit.io.scans import read_case, write_image
from segkit.training.split import Split, split_cases, split_ids
from segkit.volume import Volume

NNUNET_NAME = "Dataset001_segkit"
FOLD = 0


@dataclass(frozen=True)
class Job:
    """One training."""

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
    print(_table([_job(arguments, tool, seed) for tool in arguments.tools for seed in arguments.seeds]))


def _job(arguments: argparse.Namespace, tool: str, seed: int) -> Job:
    name = f"{tool}-{arguments.minutes:g}min-{arguments.threads}threads-seed{seed}"
    return Job(tool, seed, arguments.minutes, Path(arguments.out).absolute() / name)


def _run(job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split) -> None:
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    if job.tool == "segkit":
        measured = _segkit(job, arguments, dataset, split)
    else:
        measured = _nnunet(job, arguments, dataset, split)
    _call([*SEGKIT, "evaluate", str(job.folder / "predicted"), arguments.dataset, "-o", str(job.folder / "scores")])
    scores = json.loads((job.folder / "scores" / "summary.json").read_text(encoding="utf-8"))["labels"]
    measured["dice"] = {name: score["dice"] for name, score in scores.items()}
    (job.folder / "result.json").write_text(json.dumps(measured), encoding="utf-8")


SEGKIT = [sys.executable, "-m", "segkit"]


def _segkit(job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split) -> dict[str, object]:
    train = [*SEGKIT, "train", f"dataset={arguments.dataset}", f"run_dir={job.folder / 'run'}", f"fold={FOLD}"]
    train += [f"dataset.store={job.folder / 'prepared'}", f"trainer.max_minutes={job.minutes}", f"seed={job.seed}"]
    measured = _measured([*train, *arguments.overrides], job.folder / "train.log", arguments.samples)
    measured["steps"] = json.loads((job.folder / "run" / "finished.json").read_text(encoding="utf-8"))["steps"]
    table = job.folder / "cases.csv"
    _write_cases(table, dataset, split)
    _call([*SEGKIT, "predict", str(table), "-m", str(job.folder / "run"), "-o", str(job.folder / "predicted")])
    return measured


def _write_cases(table: Path, dataset: Dataset, split: Split) -> None:
    """The validation cases for `segkit predict`."""
    images = ["image"] if len(split.validation[0].images) == 1 else [f"image:{name}" for name in dataset.channels]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", *images])
        writer.writerows([case.id, *(str(path.resolve()) for path in case.images)] for case in split.validation)


def _nnunet(job: Job, arguments: argparse.Namespace, dataset: Dataset, split: Split) -> dict[str, object]:
    """Train and predict with nnU-Net, and bring its labels back to the dataset's values and names."""
    raw = Path(arguments.out).absolute() / "nnunet_raw"
    picture = _write_raw(raw / NNUNET_NAME, dataset, split)
    command = [arguments.peer_python, str(Path(__file__).with_name("minutes_to_dice_peer.py")), str(job.folder)]
    command += ["--raw", str(raw), "--configuration", "2d" if picture else "3d_fullres"]
    train = [*command, "--minutes", str(job.minutes), "--seed", str(job.seed), "--threads", str(arguments.threads)]
    train += ["--no-mirroring"] if job.tool == "nnunet_no_mirroring" else []
    measured = _measured(train, job.folder / "train.log", arguments.samples)
    measured["steps"] = json.loads((job.folder / "steps.json").read_text(encoding="utf-8"))
    _call([*command, "--predict", *(case.id for case in split.validation)])
    values = np.array([0, *_values(dataset)])
    for case in split.validation:
        found = read_labels(job.folder / "nnunet_predicted" / f"{case.id}{_ending(picture)}")
        write_labels(job.folder / "predicted" / f"{case.id}{_ending(picture)}", found.with_array(values[found.array]))
    return measured


def _write_raw(folder: Path, dataset: Dataset, split: Split) -> bool:
    """The dataset in nnU-Net's layout, unless it is there; returns whether it consists of pictures."""
    cases, values = [*split.training, *split.validation], _values(dataset)
    picture = read_case(cases[0].images).unit == "px"
    if (folder / "dataset.json").is_file():
        return picture
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in cases:
        image = read_case(case.images)
        for number, channels in enumerate([image.array] if picture else image.array[:, None]):
            path = folder / "imagesTr" / f"{case.id}_{number:04d}{_ending(picture)}"
            write_image(path, Volume(channels, image.affine, image.unit))
        assert case.label is not None
        labels = read_labels(case.label)
        numbers = np.searchsorted([0, *values], labels.array).astype(np.uint8)
        write_labels(folder / "labelsTr" / f"{case.id}{_ending(picture)}", labels.with_array(numbers))
    names = sorted(dataset.labels, key=lambda name: dataset.labels[name])
    about = {
        "channel_names": {str(number): name for number, name in enumerate(dataset.channels)},
        "labels": {"background": 0, **{name: number for number, name in enumerate(names, 1)}},
        "numTraining": len(cases),
        "file_ending": _ending(picture),
    }
    ids = split_ids(split)
    folds = [{"train": ids["training"], "val": ids["validation"]}]
    (folder / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return picture


def _values(dataset: Dataset) -> list[int]:
    """The label values in rising order; nnU-Net wants them numbered from 1 on."""
    if dataset.regions or dataset.ignore is not None or dataset.subset:
        raise SystemExit("this benchmark takes plain labels only: no regions, no ignore label, every value named")
    return sorted(dataset.labels.values())


def _ending(picture: bool) -> str:
    return ".png" if picture else ".nii.gz"


def _measured(command: Sequence[str], log: Path, samples: float) -> dict[str, object]:
    """Run the command; its wall time and peak memory."""
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
        about = [job.tool, job.seed, result["steps"], f"{result['seconds']:.0f}", f"{result['bytes'] / 2**30:.2f}"]
        cells = [*map(str, about), f"**{mean(dice.values()):.4f}**", *(f"{dice[name]:.4f}" for name in labels)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of segkit train")
    parser.add_argument("--minutes", type=float, default=20)
    tools = ["segkit", "nnunet", "nnunet_no_mirroring"]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=float, default=1, help="of the memory, per second")
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    parser.add_argument("--out", default="runs/minutes_to_dice")
    return parser


if __name__ == "__main__":
    main()
