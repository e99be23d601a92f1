"""segkit demo: train on phantom scans, predict a scan that was not used for training, evaluate."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segkit.commands import evaluate, predict, train
from segkit.commands.flags import Parser
from segkit.dataset.phantom import case_name, write_phantom
from segkit.errors import SegkitError, UsageError
from segkit.files.names import PREVIEW, case_id

REQUIRED_DICE = 0.85
"""Mean Dice that the demo must reach on the held-out scan."""
MINUTES = 3.5
"""Default length of the training."""
CASES = 14
"""Default number of training scans."""
VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train.run,
    "predict": predict.run,
    "evaluate": evaluate.run,
}


def run(arguments: Sequence[str]) -> int:
    """Run the verbs and print where the results are; the exit code is 1 if the Dice is too low."""
    given = _parser().parse_args(arguments)
    length, run_name = _length(given)
    out: Path = given.out
    print(f"Writing phantom scans of two simulated scanners to {given.data} ...", flush=True)
    write_phantom(given.data, given.cases)
    scan = given.data / "imagesTs" / f"{case_name(given.cases)}.nii.gz"
    model = out / run_name
    labels = out / f"{case_id(scan)}_seg.nii.gz"
    evaluation = out / "evaluation"
    resume = ["--resume"] if model.exists() else []
    _verb("train", f"dataset={given.data}", f"run_dir={model}", length, *resume)
    _verb("predict", str(scan), "-m", str(model), "-o", str(labels), "--preview", "--overwrite")
    reference = given.data / "labelsTs" / scan.name
    report = ["-o", str(evaluation), "--overwrite", "--scans", str(scan.parent)]
    _verb("evaluate", str(labels), str(reference), *report)
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    print(_where(labels, evaluation, model))
    return _verdict(summary)


def _verb(verb: str, *words: str) -> None:
    """Print the command as one would type it, and run it."""
    print(f"\n$ segkit {verb} {shlex.join(words)}", flush=True)
    code = VERBS[verb](words)
    if code:
        raise SegkitError(f"segkit {verb} ended with exit code {code}")


def _where(labels: Path, evaluation: Path, model: Path) -> str:
    picture = labels.with_name(f"{case_id(labels)}{PREVIEW}.png")
    rows = [
        ("label map", labels),
        ("picture", picture),
        ("numbers", evaluation / "metrics.csv"),
        ("report", evaluation / "report.html"),
        ("model", model / "bundle"),
    ]
    lines = [f"  {name:<11}{path}" for name, path in rows]
    return "\n".join(["\nThe demo is done. The results are:", *lines])


def _verdict(summary: dict[str, Any]) -> int:
    """Print the Dice of each label and return the exit code."""
    mean = summary["mean"]["dice"]
    for name, metrics in summary["labels"].items():
        print(f"  Dice of {name:<14}{metrics['dice']:.3f}")
    print(f"  mean Dice {'':<12}{mean:.3f}", flush=True)
    if mean >= REQUIRED_DICE:
        return 0
    print(
        f"segkit demo: the mean Dice is below {REQUIRED_DICE}: try more --minutes", file=sys.stderr
    )
    return 1


def _length(given: argparse.Namespace) -> tuple[str, str]:
    """Return the override that sets the length of the training, and the name of its run folder.

    Trainings of different length are different runs, each in its own folder.
    """
    minutes = MINUTES if given.minutes is None else given.minutes
    if minutes <= 0 or (given.steps is not None and given.steps < 1) or given.cases < 2:
        raise UsageError("--minutes and --steps must be above 0, and --cases at least 2")
    if given.steps:
        return f"trainer.max_steps={given.steps}", f"model_{given.cases}_cases_{given.steps}_steps"
    return f"trainer.max_minutes={minutes:g}", f"model_{given.cases}_cases_{minutes:g}_minutes"


def _parser() -> Parser:
    parser = Parser(
        prog="segkit demo",
        description="Write phantom scans, train on them, predict a scan that was not used for "
        "training, and evaluate the prediction. "
        f"The exit code is 1 if its mean Dice is below {REQUIRED_DICE}.",
    )
    parser.add_argument(
        "out",
        nargs="?",
        type=Path,
        default=Path("runs/demo"),
        metavar="OUT",
        help="folder for the results (default: runs/demo)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data/phantom"),
        metavar="DIR",
        help="folder for the phantom scans (default: data/phantom)",
    )
    parser.add_argument(
        "--cases",
        type=int,
        default=CASES,
        metavar="N",
        help=f"number of training scans (default: {CASES})",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"length of the training in minutes (default: {MINUTES:g})",
    )
    length.add_argument(
        "--steps", type=int, metavar="N", help="length of the training in steps, instead of minutes"
    )
    return parser
