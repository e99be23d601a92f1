"""Time the way from raw cases to prepared ones: segkit, nnU-Net and MONAI on all cases of a
dataset, without imports.

    python benchmarks/preprocessing.py DATASET [KEY=VALUE ...] [--peer-python
    .venv-peers/bin/python]
        [--tools segkit nnunet monai] [--threads 2] [--rounds 3]

segkit and nnU-Net measure the cases, plan, and write prepared cases to disk; "again" is a second
run of segkit, which finds them there. MONAI plans nothing: it gets the spacing of segkit and keeps
the cases in memory. nnU-Net uses as many processes as there are threads. Tools take turns; medians,
with every round in parentheses; peak memory is PSS summed over the process tree (Linux only). Print
a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from clock import Clock
from nnunet_copy import file_ending, write_copy
from processes import PeakMemory

import segkit
from segkit.config.compose import load
from segkit.dataset.split import split_cases
from segkit.planning.plan_dataset import measured_plan, open_dataset
from segkit.preprocessing.case_store import prepare_cases

FOLD = 0
Figures = tuple[float, float, float]
"""Wall seconds, CPU seconds and GiB."""


def main() -> None:
    """Measure the tools in turn and print the table."""
    arguments = _parser().parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.own:
        return _prepare(arguments)
    with tempfile.TemporaryDirectory() as work:
        found = _rounds(arguments, Path(work))
    return print(_table(found))


def _prepare(arguments: argparse.Namespace) -> None:
    """Prepare the cases as `segkit train` does before it builds a network."""
    clock = Clock()
    store = Path(arguments.own)
    config = load([f"dataset={arguments.dataset}", *arguments.overrides])
    dataset = open_dataset(config)
    plan, _ = measured_plan(config, dataset, store=store)
    prepare_cases(dataset.cases, dataset, plan, store)
    print(*clock.read())


def _rounds(arguments: argparse.Namespace, work: Path) -> dict[str, list[Figures]]:
    dataset = open_dataset(load([f"dataset={arguments.dataset}"]))
    data = write_copy(work / "raw", dataset, split_cases(dataset, FOLD))
    plan = segkit.plan(arguments.dataset, *arguments.overrides)
    peer = [str(work / "peer"), "--data", str(data), "--threads", str(arguments.threads)]
    here = Path(__file__)
    configuration = "2d" if file_ending(dataset) == ".png" else "3d_fullres"
    grid = ["--spacing", *map(str, plan.spacing), "--patch", *map(str, plan.patch)]
    own = [
        sys.executable,
        str(here),
        arguments.dataset,
        *arguments.overrides,
        "--own",
        str(work / "own"),
    ]
    nnunet = [str(here.with_name("peer_nnunet.py")), *peer, "--configuration", configuration]
    commands = {
        "segkit": own,
        "segkit, again": own,
        "nnunet": [arguments.peer_python, *nnunet],
        "monai": [arguments.peer_python, str(here.with_name("peer_monai.py")), *peer, *grid],
    }
    found: dict[str, list[Figures]] = {}
    for _ in range(arguments.rounds):
        for tool, command in commands.items():
            if tool.split(",")[0] in arguments.tools:
                print("running", *command, file=sys.stderr, flush=True)
                found.setdefault(tool, []).append(_measured(command))
        for part in ("own", "peer"):
            shutil.rmtree(work / part, ignore_errors=True)
    return found


def _measured(command: list[str]) -> Figures:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(command, stdout=printed)
        with PeakMemory(process.pid, per_second=10) as peak:
            code = process.wait()
        if code:
            raise SystemExit(f"{' '.join(command)}: exit {code}")
        printed.seek(0)
        wall, cpu = map(float, printed.read().split()[-2:])
    return wall, cpu, peak.bytes / 2**30


def _table(found: dict[str, list[Figures]]) -> str:
    lines = [
        "| tool | seconds | seconds of CPU | GiB | its seconds to segkit's |",
        "| --- " * 5 + "|",
    ]
    for tool, rounds in found.items():
        cells = [_cell([figures[column] for figures in rounds]) for column in range(3)]
        own = found.get("segkit", rounds)
        ratio = median(theirs[0] / mine[0] for theirs, mine in zip(rounds, own, strict=True))
        lines.append(f"| {tool} | {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    return f"{median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the plan")
    tools = ["segkit", "nnunet", "monai"]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    parser.add_argument("--own", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
