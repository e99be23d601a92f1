"""Measure check, evaluate and compare on many cases: time beside MONAI's metrics, and memory.

    python benchmarks/large_datasets.py FOLDER [--shape 512 512 300] [--cases 10 30] [--monai 3]
        [--bodies 100000] [--commands check evaluate compare]

Writes cases into FOLDER, as many as the last number of ``--cases`` (40 MB each of 512 x 512 x 300
voxels); files that are there are kept. A case is a scan with noise of 18 HU in the body and none
outside, as of a masked scan; a label map of eight organs of random places and outlines; and two
predictions: the label map moved by one voxel in half of the blocks of 16 x 16 x 16 voxels, once and
twice. Of more than ``--bodies`` cases, the others repeat their label maps, and their scans but for
the noise of the first slice. For each number of cases the commands run to the end, each with its
page:

    segkit check DATASET -o OUT
    segkit evaluate PREDICTIONS DATASET -o OUT
    segkit evaluate --compare PREDICTIONS OTHERS DATASET -o OUT

After each of the first commands, MONAI measures the nine metrics of ``segkit evaluate`` on the
masks of one case, in this process. The table gives seconds of CPU for each case, of whole commands
with reading and pages for segkit and without any reading for MONAI; the most resident memory of the
process tree, sampled five times a second; and the size of the page.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
import warnings
from functools import lru_cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from ct_phantom import EXTENT
from isal import igzip
from metrics import Pair, monai_all, moved
from numpy.typing import NDArray
from processes import Run, resident_memory, run_measured
from scipy import ndimage

from segkit.files.atomic import write_text
from segkit.io import read_labels, write_labels
from segkit.volume import Grid, Volume, nifti_header

COMMANDS = ("check", "evaluate", "compare")
ORGANS = 8
NOISE = 18.0
TISSUE, AIR = 40.0, -1000.0
Shape = tuple[int, int, int]


def main() -> None:
    """Make the cases and print the table."""
    given = _parser().parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    shape: Shape = tuple(given.shape)
    out = given.folder / f"out_{'_'.join(given.commands)}"
    monai: list[float] = []
    print("| command | cases | s of CPU per case | s per case | MONAI | ratio | MiB | page MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for cases in given.cases:
        for number in range(cases):
            _write_case(given.folder, number, shape, given.bodies)
        _describe(given.folder, cases)
        for name in given.commands:
            run, page = _run([*_commands(given.folder)[name], "-o", str(out)], out)
            if len(monai) < given.monai:
                monai.append(_monai(given.folder, len(monai)))
            cpu, theirs = run.cpu / cases, median(monai or [math.nan])
            print(
                f"| {name} | {cases} | {cpu:.3g} | {run.seconds / cases:.3g} | {theirs:.3g} |"
                f" {cpu / theirs:.2f} | {run.peaks[0] / 2**20:.0f} | {page / 1e6:.1f} |",
                flush=True,
            )


def _run(arguments: list[str], out: Path) -> tuple[Run, int]:
    """Run a command, and return what it took and the size of its page, which is removed."""
    command = [sys.executable, "-m", "segkit", *arguments]
    run = run_measured(command, resident_memory, per_second=5)
    if run.code not in (0, 3):  # check ends with 3 if it finds an error
        raise SystemExit(f"{' '.join(command)} ended with {run.code}: {run.said}")
    page = max(path.stat().st_size for path in out.glob("*.html"))
    shutil.rmtree(out)
    return run, page


def _commands(folder: Path) -> dict[str, list[str]]:
    first, second = str(folder / "first"), str(folder / "second")
    return {
        "check": ["check", str(folder)],
        "evaluate": ["evaluate", first, str(folder)],
        "compare": ["evaluate", "--compare", first, second, str(folder)],
    }


def _monai(folder: Path, number: int) -> float:
    """Return seconds of CPU for all metrics of all labels of a case."""
    first, labels = (read_labels(folder / part / _name(number)) for part in ("first", "labelsTr"))
    seconds = 0.0
    for value in range(1, ORGANS + 1):
        masks = (np.ascontiguousarray(volume.array[0]) == value for volume in (first, labels))
        pair = Pair(*masks, labels.spacing)
        started = time.process_time()
        monai_all(pair)
        seconds += time.process_time() - started
    return seconds


# -- cases -----------------------------------------------------------------------------------------


def _name(number: int) -> str:
    return f"case_{number:04d}.nii.gz"


@lru_cache
def _noise(shape: Shape) -> NDArray[np.int16]:
    """Return noise (N,) in HU for scans that begin at different places of it."""
    random = np.random.default_rng(0)
    planes = np.empty((shape[0] + shape[0] // 8, np.prod(shape[1:])), np.int16)
    for plane in planes:
        plane[:] = np.rint(NOISE * random.standard_normal(plane.size, np.float32))
    return planes.ravel()


def _write_case(folder: Path, number: int, shape: Shape, bodies: int) -> None:
    """Write the four files of a case, unless it is there."""
    name, body = _name(number), _name(number % bodies)
    scan, others = folder / "imagesTr" / name, folder / "other_slices" / body
    if (folder / "second" / name).exists() and others.exists():
        return
    random = np.random.default_rng(number)
    if number >= bodies:
        _write_scan(scan, _first_slice(random, shape), shape, others.read_bytes())
        for part in ("labelsTr", "first", "second"):
            shutil.copy(folder / part / body, folder / part / name)
        return
    image, labels = _scan(random, _noise(shape), shape)
    others.parent.mkdir(parents=True, exist_ok=True)
    others.write_bytes(igzip.compress(image[..., 1:].tobytes(order="F"), 1))
    _write_scan(scan, image[..., :1], shape, others.read_bytes())
    write_labels(folder / "labelsTr" / name, Volume(labels[None], _affine(shape)))
    for part in ("first", "second"):
        labels = moved(labels)
        write_labels(folder / part / name, Volume(labels[None], _affine(shape)))


def _write_scan(path: Path, first: NDArray[np.int16], shape: Shape, others: bytes) -> None:
    """Write a scan of a first slice (X, Y, 1) and a gzip member with the other slices."""
    header = nifti_header(Grid(shape, _affine(shape), "mm"))
    header.set_data_dtype(np.int16)
    header["vox_offset"] = header.single_vox_offset
    beginning = header.binaryblock.ljust(header.single_vox_offset, b"\0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(igzip.compress(beginning + first.tobytes(order="F"), 1) + others)


def _affine(shape: Shape) -> NDArray[np.float64]:
    return np.diag([*np.divide(EXTENT, shape), 1.0])


def _first_slice(random: np.random.Generator, shape: Shape) -> NDArray[np.int16]:
    """Return a slice (X, Y, 1) of a body without organs."""
    return _noisy_body(_noise(shape), random, (*shape[:2], 1))


def _scan(
    random: np.random.Generator, noise: NDArray[np.int16], shape: Shape
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return scan and labels (X, Y, Z): ellipsoids with waves in an elliptic body."""
    image = _noisy_body(noise, random, shape)
    labels = np.zeros(shape, np.uint8)
    for value in range(1, ORGANS + 1):
        axes = random.uniform(0.04, 0.13, 3) * shape
        middle = (0.5 + random.uniform(-0.25, 0.25, 3)) * shape
        low, high = np.maximum(middle - 1.5 * axes, 0), np.minimum(middle + 1.5 * axes, shape)
        box = tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
        inside = _ellipsoid(random, box, middle, axes) & (labels[box] == 0)
        labels[box][inside] = value
        image[box][inside] += np.int16(random.normal(60, 20))
    return image, labels


def _noisy_body(
    noise: NDArray[np.int16], random: np.random.Generator, shape: Shape
) -> NDArray[np.int16]:
    """Return an elliptic body (X, Y, Z) with noise from a random place, in air without noise."""
    size = int(np.prod(shape))
    first = int(random.integers(noise.size - size))
    x, y = (np.linspace(-1, 1, edge) for edge in shape[:2])
    body = np.hypot(x[:, None] / 0.9, y / 0.65) < 1
    tissue = noise[first : first + size].reshape(shape) + np.int16(TISSUE)
    return np.where(body[..., None], tissue, np.int16(AIR))


def _ellipsoid(
    random: np.random.Generator,
    box: tuple[slice, ...],
    middle: NDArray[np.float64],
    axes: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return the mask of an ellipsoid with an outline of smooth waves, in its box."""
    grid = np.ogrid[box]
    squares = sum(
        ((places - center) / axis) ** 2
        for places, center, axis in zip(grid, middle, axes, strict=True)
    )
    sizes = np.shape(squares)
    waves = ndimage.zoom(random.normal(0, 0.2, (4, 4, 4)), np.divide(sizes, 4), order=1)
    return np.asarray(np.sqrt(squares) + waves < 1)


def _describe(folder: Path, cases: int) -> None:
    """Write the dataset.json of the first cases."""
    names = [_name(number) for number in range(cases)]
    labels = {str(value): f"organ_{value}" for value in range(1, ORGANS + 1)}
    pairs = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    content = {
        "name": "large",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **labels},
        "training": pairs,
    }
    write_text(folder / "dataset.json", json.dumps(content, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--cases", type=int, nargs="+", default=(10, 30), help="ascending")
    parser.add_argument("--monai", type=int, default=3, help="cases that MONAI measures")
    parser.add_argument(
        "--bodies", type=int, default=100_000, help="cases that differ in all slices"
    )
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    return parser


if __name__ == "__main__":
    main()
