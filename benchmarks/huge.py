"""Segment a scan of a billion voxels, or a slide as large, under a memory limit, and compare every
label.

    python benchmarks/huge.py volume FOLDER [--size 1024] [--max-memory 6GB] [--suffix .nii]
    python benchmarks/huge.py slide FOLDER [--size 32768] [--max-memory 4GB]      (extra [wsi])

Write to FOLDER a volume of size^3 int16 voxels, or a tiled TIFF of size^2 RGB pixels three quarters
of which are white glass, and a U-Net of 3 stages (4, 8 and 16 features, windows of 64^3 or 512^2)
whose weights are set so that its answer is known: label 0 to 5 by the intensity, glass 0. Then
`segkit predict` runs in a separate process with an overlap of 0.5. Files of an earlier call are
used again. Print a row of a table in Markdown. Memory is the peak resident memory of the process
and its children, sampled ten times a second, and that of the process as Linux counts it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
import torch
from isal import igzip
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray
from processes import resident_memory, run_measured

from segkit.bundle.bundle import write_bundle
from segkit.networks import build_network
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan
from segkit.units import parse_size

FEATURES = (4, 8, 16)
LABELS = 5
STEP = {"volume": 100.0, "slide": 40.0}
"""Difference between the intensities of consecutive labels."""
WHITE = 255
TILE = 512


def main() -> None:
    """Create missing files, predict, compare, and print the row."""
    given = _parser().parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    size = given.size or {"volume": 1024, "slide": 32768}[given.kind]
    suffix = given.suffix if given.kind == "volume" else ".tif"
    scan = given.folder / f"{given.kind}_{size}{suffix}"
    if not scan.exists():
        (_write_volume if given.kind == "volume" else _write_slide)(scan, size)
    model = given.folder / f"{given.kind}_model"
    plan = known_plan(given.kind)
    write_bundle(model, plan, {"name": plan.name}, {"0": known_weights(plan)})
    output = (
        given.folder / f"{given.kind}_{size}_seg{'.nii.gz' if given.kind == 'volume' else '.tif'}"
    )
    words = [
        "predict",
        str(scan),
        "-o",
        str(output),
        "-m",
        str(model),
        "--overwrite",
        "--precision",
        "float32",
    ]
    limit = ["--max-memory", given.max_memory] if given.max_memory else []
    command = [sys.executable, "-m", "segkit", *words, *limit, "--threads", str(given.threads)]
    run = run_measured(command, resident_memory)
    if run.code:
        raise SystemExit(f"{' '.join(command)}: exit {run.code}: {run.said}")
    wrong = (_wrong_voxels if given.kind == "volume" else _wrong_pixels)(output, size)
    allowed = parse_size(given.max_memory) / 1e9 if given.max_memory else float("nan")
    print(
        "| scan | allowed, GB | most resident, GB | seconds | seconds of CPU | wrong labels |\n"
        + "| --- " * 6
        + "|"
    )
    print(
        f"| {scan.name} | {allowed:.1f} | {run.peaks[0] / 1e9:.2f} | {run.seconds:.0f} |"
        f" {run.cpu:.0f} | {wrong} |"
    )


def known_plan(kind: str) -> Plan:
    """Return a plan with FEATURES channels and a scaling of intensities to 0 to 5, in 3D or 2D."""
    flat = kind == "slide"
    wide, stride = ((3, 3, 1), (2, 2, 1)) if flat else ((3, 3, 3), (2, 2, 2))

    def stage(place: int, step: tuple[int, int, int]) -> StagePlan:
        # Points at full resolution, where most of the time goes: the sums, not the network, are
        # what is measured.
        return StagePlan(
            wide if place else (1, 1, 1), step, (LayerPlan("layer", FEATURES[place], "none", 1, 1),)
        )

    names = ("red", "green", "blue") if flat else ("scan",)
    top = 10 * STEP[kind]
    return Plan(
        name=f"known_{kind}",
        dims=2 if flat else 3,
        slice_axis=2 if flat else None,
        channels=tuple(
            ChannelPlan(name, "ct", lower=0, upper=top, mean=0, std=STEP[kind]) for name in names
        ),
        labels={f"label{value}": value for value in range(1, LABELS + 1)},
        spacing=(None, None, None) if flat else (1.0, 1.0, 1.0),
        unit="px" if flat else "mm",
        patch=(512, 512, 1) if flat else (64, 64, 64),
        batch_size=2,
        mirror_axes=(0,),
        crop_to_content=not flat,  # a slide is processed as a whole
        network=NetworkPlan(
            "unet",
            "relu",
            encoder=(stage(0, (1, 1, 1)), stage(1, stride), stage(2, stride)),
            decoder=(stage(1, stride), stage(0, stride)),
            deep_supervision=False,
        ),
    )


def known_weights(plan: Plan) -> dict[str, torch.Tensor]:
    """Return weights whose last skip passes on the first channel v; score k is 2kv - k^2."""
    torch.manual_seed(0)
    state = build_network(plan).state_dict()  # weights without influence stay random
    last = f"decoder.{len(plan.network.decoder) - 1}.convs.0.conv"
    for name in ("encoder.0.0.conv", last):
        state[f"{name}.weight"][0] = 0
        state[f"{name}.bias"][0] = 0
    # In a slide white is 0, and the label is how much darker it is.
    state["encoder.0.0.conv.weight"][0, 0] = 1 if plan.dims == 3 else -1
    state["encoder.0.0.conv.bias"][0] = 0 if plan.dims == 3 else WHITE / STEP["slide"]
    state[f"{last}.weight"][0, FEATURES[0]] = 1
    numbers = torch.arange(LABELS + 1.0)
    state["head.weight"].zero_()
    state["head.weight"].view(LABELS + 1, -1)[:, 0] = 2 * numbers
    state["head.bias"].copy_(-(numbers**2))
    return state


def expected(x: NDArray[Any], y: NDArray[Any], z: int) -> NDArray[Any]:
    """Return the labels, which form blocks of different edge lengths along the axes."""
    return (x // 128 + y // 96 + z // 160) % (LABELS + 1)


def _planes(size: int) -> Iterator[NDArray[np.int16]]:
    """Yield planes (Y, X) of the volume: 100 times the label, with noise of up to 40."""
    y, x = np.ogrid[:size, :size]
    for z in range(size):
        noise = np.random.default_rng(z).integers(-40, 41, (size, size), dtype=np.int16)
        yield (100 * expected(x, y, z)).astype(np.int16) + noise


def _opened(path: Path, mode: str) -> IO[bytes]:
    if path.suffix == ".gz":
        return igzip.open(path, mode, **({"compresslevel": 1} if mode == "wb" else {}))
    return path.open(mode)


def _write_volume(path: Path, size: int) -> None:
    header = Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((size,) * 3)
    header.set_sform(np.eye(4), code=1)
    header.set_slope_inter(1.0, 0.0)
    header["vox_offset"] = 352
    with _opened(path, "wb") as file:
        file.write(header.binaryblock.ljust(352, b"\0"))
        for plane in _planes(size):
            file.write(plane.tobytes())


def _wrong_voxels(path: Path, size: int) -> int:
    y, x = np.ogrid[:size, :size]
    wrong = 0
    with _opened(path, "rb") as file:
        file.read(352)
        for z in range(size):
            plane = np.frombuffer(file.read(size * size), np.uint8).reshape(size, size)
            wrong += int(np.count_nonzero(plane != expected(x, y, z)))
    return wrong


def _bands(size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield bands (TILE, X, RGB): labels in red in the middle of the slide, white glass around."""
    edge = size // 4
    for start in range(0, size, TILE):
        rows = np.full((min(TILE, size - start), size, 3), WHITE, np.uint8)
        y, x = np.ogrid[start : start + len(rows), edge : size - edge]
        noise = np.random.default_rng(start).integers(
            -15, 16, (len(rows), size - 2 * edge), dtype=np.int16
        )
        inside = (y[:, 0] >= edge) & (y[:, 0] < size - edge)
        red = WHITE - STEP["slide"] * expected(x, y, 0) + noise
        rows[inside, edge : size - edge, 0] = np.clip(red, 0, WHITE).astype(np.uint8)[inside]
        rows[inside, edge : size - edge, 1:] = 100
        yield rows


def _write_slide(path: Path, size: int) -> None:
    tiles = (band[:, x : x + TILE] for band in _bands(size) for x in range(0, size, TILE))
    tifffile.imwrite(
        path,
        tiles,
        shape=(size, size, 3),
        dtype=np.uint8,
        tile=(TILE, TILE),
        compression="zlib",
        compressionargs={"level": 1},
        photometric="rgb",
        metadata=None,
    )


def _wrong_pixels(path: Path, size: int) -> int:
    found = tifffile.imread(path)
    wrong = 0
    for number, rows in enumerate(_bands(size)):
        labels = np.rint((WHITE - rows[..., 0]) / STEP["slide"]).astype(np.uint8)
        wrong += int(np.count_nonzero(found[number * TILE : number * TILE + len(rows)] != labels))
    return wrong


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["volume", "slide"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--max-memory")
    parser.add_argument("--suffix", choices=[".nii", ".nii.gz"], default=".nii")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
