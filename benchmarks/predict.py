"""Time prediction with segkit, nnU-Net and MONAI: one window, and the whole command on a folder of
scans.

    python benchmarks/predict.py BUNDLE IMAGES [--count 60] [--rounds 3] [--threads 1]
        [--peer-python .venv-peers/bin/python] [--tools segkit ...]      (`make peers` makes the
        environment)

BUNDLE is a segkit model of one channel in 3D, IMAGES a folder of NIfTI files. Every tool has a
network of the same channels, kernels, strides and convolutions, the same windows with an overlap of
0.5, Gaussian weights and no mirroring; see `benchmarks/peer_predict.py`. Tools take turns. Windows:
CPU seconds, medians of 9 turns within each round.
Commands: from the start of the process to its end, imports included; wall seconds, CPU seconds of
the process and its children, and peak memory of the process tree (PSS, sampled, Linux only);
medians, with every round in parentheses. Print two tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from processes import run_measured, shared_out_memory

from segkit.files.names import case_id

PEER = Path(__file__).with_name("peer_predict.py")
NNUNET = "nnU-Net"
TURNS = 9
Figures = tuple[float, float, float]
"""Wall seconds, CPU seconds and GiB."""


def main() -> None:
    """Measure and print."""
    arguments = _parser().parse_args()
    os.environ.update(
        OMP_NUM_THREADS=str(arguments.threads), nnUNet_n_proc_DA="1", PYTHONWARNINGS="ignore"
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        windows: dict[str, list[float]] = {}
        wholes: dict[str, list[Figures]] = {}
        _copy_scans(arguments, work / "in", 1)
        commands = _commands(arguments, work)
        for name in (
            arguments.tools
        ):  # so that nobody is the first to load its libraries, or to write a model
            _measured(commands[name], work / "out")
        _copy_scans(arguments, work / "in", arguments.count)
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            for name, seconds in _windows(arguments).items():
                windows.setdefault(name, []).append(seconds)
            for name in arguments.tools:
                wholes.setdefault(name, []).append(_measured(commands[name], work / "out"))
    print(_window_table(windows), _command_table(wholes), sep="\n\n")


def _copy_scans(arguments: argparse.Namespace, folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for path in sorted(arguments.images.glob("[!.]*.nii.gz"))[:count]:
        shutil.copy(path, folder / f"{case_id(path).removesuffix('_0000')}_0000.nii.gz")


def _commands(arguments: argparse.Namespace, work: Path) -> dict[str, list[str]]:
    places = [
        str(arguments.bundle),
        str(work / "in"),
        str(work / "out"),
        "--model",
        str(work / "nnunet"),
    ]
    segkit = [
        sys.executable,
        "-m",
        "segkit",
        "predict",
        str(work / "in"),
        "-o",
        str(work / "out"),
        "-m",
    ]
    threads = ["--threads", str(arguments.threads)]
    return {
        "segkit": [*segkit, str(arguments.bundle), *threads],
        "segkit float32": [*segkit, str(arguments.bundle), *threads, "--precision", "float32"],
        NNUNET: [arguments.peer_python, str(PEER), "nnunet", *places, *threads],
        "MONAI": [arguments.peer_python, str(PEER), "monai", *places, *threads],
    }


def _windows(arguments: argparse.Namespace) -> dict[str, float]:
    command = [
        arguments.peer_python,
        str(PEER),
        "forward",
        str(arguments.bundle),
        "--rounds",
        str(TURNS),
    ]
    done = subprocess.run(
        [*command, "--threads", str(arguments.threads)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured(command: list[str], out: Path) -> Figures:
    shutil.rmtree(out, ignore_errors=True)
    run = run_measured(command, shared_out_memory, per_second=5)
    if run.code:
        raise SystemExit(f"{' '.join(command)}: exit {run.code}\n{run.said}")
    return run.seconds, run.cpu, run.peaks[0] / 2**30


def _window_table(windows: dict[str, list[float]]) -> str:
    base = next(values for name, values in windows.items() if name.startswith(NNUNET))
    lines = ["| one window | milliseconds of CPU | of nnU-Net's |", "| --- " * 3 + "|"]
    for name, values in windows.items():
        lines.append(
            f"| {name} | {_cell([1000 * value for value in values], 0)} |"
            f" {_ratio(values, base):.2f} |"
        )
    return "\n".join(lines)


def _command_table(wholes: dict[str, list[Figures]]) -> str:
    lines = [
        "| command | seconds | of nnU-Net's | seconds of CPU | of nnU-Net's | GiB |",
        "| --- " * 6 + "|",
    ]
    for name, rounds in wholes.items():
        wall, cpu, memory = zip(*rounds, strict=True)
        base_wall, base_cpu, _ = zip(*wholes.get(NNUNET, rounds), strict=True)
        ratios = f"{_ratio(wall, base_wall):.2f}", f"{_ratio(cpu, base_cpu):.2f}"
        lines.append(
            f"| {name} | {_cell(wall)} | {ratios[0]} | {_cell(cpu)} | {ratios[1]} |"
            f" {_cell(memory, 2)} |"
        )
    return "\n".join(lines)


def _ratio(values: list[float], base: list[float]) -> float:
    """Return the median ratio over the rounds."""
    return median(ours / theirs for ours, theirs in zip(values, base, strict=True))


def _cell(values: list[float], digits: int = 1) -> str:
    return f"{median(values):.{digits}f} ({', '.join(f'{value:.{digits}f}' for value in values)})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    tools = ["segkit", "segkit float32", NNUNET, "MONAI"]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    return parser


if __name__ == "__main__":
    main()
