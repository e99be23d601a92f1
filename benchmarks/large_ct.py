"""Predict large CTs with segkit, nnU-Net and MONAI: time, and memory that must not grow with the
number of labels.

    python benchmarks/large_ct.py FOLDER SCAN [--cases "14 labels" ...] [--tools segkit ...]
    [--threads 2] [--rounds 1]
        [--peer-python .venv-peers/bin/python]      (`make peers` makes the environment)

SCAN is enlarged to the size of a case, and noise of 10 HU is added, so that it compresses like a
scan. The scan and the models are kept in FOLDER and used again. The network has one convolution a
stage, of 4, 8 and 16 channels (or 32, 64 and 128), windows of 128^3, an overlap of 0.5, Gaussian
weights, no mirroring, and random weights, the same kernels and strides in every tool (see
`benchmarks/peer_predict.py`). Tools take turns with whole commands, from the start of the process
to its end. GiB: peak resident memory of the process tree, summed and sampled ten times a second,
and how much of it was not pages of files; a library that several processes share counts in each.
The address space of the peers' processes is limited by --limit, so that a process that needs too
much fails instead of taking the machine down. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from processes import Run, anonymous_memory, resident_memory, run_measured
from scipy import ndimage

from segkit.bundle.bundle import write_bundle
from segkit.io import read_volume, write_image
from segkit.networks import build_network
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan
from segkit.volume import Grid, Volume

PEER = Path(__file__).with_name("peer_predict.py")
PATCH = (128, 128, 128)


@dataclass(frozen=True)
class Case:
    """Scan and a model for it."""

    shape: tuple[int, int, int]
    labels: int
    spacing: float | None = None
    """Voxel spacing of the model in mm; None for that of the scan."""
    width: int = 4
    """Number of channels before the head."""


CASES = {
    "14 labels": Case((512, 512, 300), 14),
    "117 labels": Case((512, 512, 300), 117),
    "117 labels, 32 channels": Case((512, 512, 300), 117, width=32),
    "1000 slices, 40 labels": Case((512, 512, 1000), 40),
    "14 labels at 1.5 mm": Case((512, 512, 300), 14, spacing=1.5),
}
SEGKIT = {"segkit": "float32", "segkit bfloat16": "bfloat16"}


def main() -> None:
    """Create missing files, measure, and print the table."""
    given = _parser().parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        OMP_NUM_THREADS=str(given.threads), nnUNet_n_proc_DA="1", PYTHONWARNINGS="ignore"
    )
    print("| case | tool | seconds | seconds of CPU | GiB | not of files |\n" + "| --- " * 6 + "|")
    for name in given.cases:
        case = CASES[name]
        scans, spacing = _scans(given, case.shape)
        model = given.folder / name.replace(" ", "_").replace(",", "")
        if not model.is_dir():
            _write_model(model, case, spacing)
        commands = {tool: _command(given, tool, scans, model) for tool in given.tools}
        runs: dict[str, list[Run]] = {tool: [] for tool in commands}
        for _ in range(given.rounds):
            for tool, command in commands.items():
                shutil.rmtree(given.folder / "out", ignore_errors=True)
                runs[tool].append(run_measured(command, resident_memory, anonymous_memory))
        for tool, found in runs.items():
            print(f"| {name} | {tool} | {_cells(found)} |", flush=True)


def _scans(
    given: argparse.Namespace, shape: tuple[int, int, int]
) -> tuple[Path, tuple[float, ...]]:
    """Return a folder with only the enlarged scan, and its spacing in mm."""
    folder = given.folder / f"scan_{shape[2]}"
    path = folder / "ct_0000.nii.gz"
    small = read_volume(given.scan)
    factors = [wanted / n for wanted, n in zip(shape, small.grid.shape, strict=True)]
    # Centres of the first and the last voxel stay where they are, as ndimage.zoom leaves them.
    steps = [(n - 1) / (wanted - 1) for wanted, n in zip(shape, small.grid.shape, strict=True)]
    grid = Grid(shape, small.grid.affine @ np.diag([*steps, 1]))
    if not path.exists():
        folder.mkdir(exist_ok=True)
        grown = ndimage.zoom(small.array[0].astype(np.float32), factors, order=1)
        grown += np.random.default_rng(0).normal(0, 10, shape)
        write_image(path, Volume(np.rint(grown).astype(np.int16)[None], grid.affine))
    return folder, grid.spacing


def _write_model(folder: Path, case: Case, spacing: tuple[float, ...]) -> None:
    def stage(place: int) -> StagePlan:
        edge = 2 if place else 1
        return StagePlan(
            (3, 3, 3), (edge,) * 3, (LayerPlan("layer", case.width << place, "group", 2, 1),)
        )

    decoder = tuple(StagePlan((3, 3, 3), (2, 2, 2), stage(place).layers) for place in (1, 0))
    x, y, z = spacing if case.spacing is None else (case.spacing,) * 3
    plan = Plan(
        name="large_ct",
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("scan", "zscore"),),
        labels={f"label{value}": value for value in range(1, case.labels + 1)},
        spacing=(x, y, z),
        unit="mm",
        patch=PATCH,
        batch_size=2,
        mirror_axes=(),
        crop_to_content=True,
        network=NetworkPlan(
            "unet", "leaky_relu", tuple(map(stage, range(3))), decoder, deep_supervision=False
        ),
    )
    torch.manual_seed(0)
    write_bundle(folder, plan, {"name": plan.name}, {"0": build_network(plan).state_dict()})


def _command(given: argparse.Namespace, tool: str, scans: Path, model: Path) -> list[str]:
    out, threads = str(given.folder / "out"), ["--threads", str(given.threads)]
    if tool in SEGKIT:
        bound = ["--max-memory", given.max_memory] if given.max_memory else []
        how = ["-o", out, "-m", str(model), "--precision", SEGKIT[tool], *bound, *threads]
        return [sys.executable, "-m", "segkit", "predict", str(scans), *how]
    places = [
        str(model),
        str(scans),
        out,
        "--model",
        f"{model}_nnunet",
        "--limit",
        str(given.limit),
    ]
    return [given.peer_python, str(PEER), tool.lower().replace("-", ""), *places, *threads]


def _cells(runs: list[Run]) -> str:
    for run in runs:
        if run.code:
            return f"fails, exit {run.code}: {run.said[:160]} | | |"
    seconds = f"{median(run.seconds for run in runs):.1f}"
    if len(runs) > 1:
        seconds += f" ({', '.join(f'{run.seconds:.1f}' for run in runs)})"
    resident, anonymous = (
        max(sizes) / 2**30 for sizes in zip(*(run.peaks for run in runs), strict=True)
    )
    return f"{seconds} | {median(run.cpu for run in runs):.0f} | {resident:.2f} | {anonymous:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    tools = [*SEGKIT, "nnU-Net", "MONAI"]
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--max-memory", help="for segkit")
    parser.add_argument(
        "--limit", type=int, default=16, help="GiB of address space for a process of a peer (16)"
    )
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    return parser


if __name__ == "__main__":
    main()
