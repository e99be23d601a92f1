"""Compare ways to store a prepared case: flat (segkit's way, with and without announcing a patch),
in blocks, with blosc2.

    python benchmarks/store.py SCAN --shape 512 512 300 --patch 96 96 96
    python benchmarks/store.py data/Task04_Hippocampus/imagesTr/hippocampus_001.nii.gz --patch 32 48
    32

For each way: size on disk, seconds to write, CPU milliseconds to copy a patch whose pages are in
memory, and for one whose pages are not, megabytes read from disk and milliseconds. Medians over
random patches. The scan is enlarged to --shape, and noise of 10 units is added and rounded, so that
it compresses like a scan. blosc2 is measured if it is installed: pip install blosc2. Linux only,
because /proc/self/io says what came from disk.
"""

from __future__ import annotations

import argparse
import itertools
import math
import mmap
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import ndimage

from segkit.io import read_volume
from segkit.preprocessing.array_file import map_arrays, write_arrays

try:
    import blosc2
except ImportError:
    blosc2 = None

Corner = tuple[int, ...]


class Flat:
    """Format of segkit, read without announcing the patch."""

    name = "flat"
    announced = False

    def __init__(self, path: Path, _shape: Corner) -> None:
        self.file = map_arrays(path)

    @staticmethod
    def write(path: Path, image: np.ndarray) -> None:
        write_arrays(path, {"image": image})

    def read(self, start: Corner, stop: Corner) -> np.ndarray:
        box = tuple(slice(a, b) for a, b in zip((0, *start), (1, *stop), strict=True))
        if self.announced:
            self.file.will_read("image", box)
        return self.file.arrays["image"][box].copy()


class Announced(Flat):
    """Format of segkit, with the patch announced to the system."""

    name = "flat, announced"
    announced = True


class Blocks:
    """Cubes of one channel, each contiguous in the file; the pages of a patch are announced."""

    name = "blocks of 32^3, announced"
    edge = 32

    def __init__(self, path: Path, shape: Corner) -> None:
        grid = [-(-n // self.edge) for n in shape[1:]]
        self.blocks = np.memmap(path, np.float32, "r", shape=(*grid, *[self.edge] * 3))

    @classmethod
    def write(cls, path: Path, image: np.ndarray) -> None:
        edge, room = cls.edge, [-n % cls.edge for n in image.shape[1:]]
        padded = np.pad(image[0], [(0, n) for n in room])
        x, y, z = (n // edge for n in padded.shape)
        padded.reshape(x, edge, y, edge, z, edge).transpose(0, 2, 4, 1, 3, 5).tofile(path)

    def read(self, start: Corner, stop: Corner) -> np.ndarray:
        out = np.empty([1, *(b - a for a, b in zip(start, stop, strict=True))], np.float32)
        rows = [range(a // self.edge, -(-b // self.edge)) for a, b in zip(start, stop, strict=True)]
        size = 4 * self.edge**3
        for x, y in itertools.product(*rows[:2]):
            first = size * np.ravel_multi_index((x, y, rows[2][0]), self.blocks.shape[:3])
            self.blocks._mmap.madvise(mmap.MADV_WILLNEED, int(first), size * len(rows[2]))
        for block in itertools.product(*rows):
            low = [max(a, i * self.edge) for a, i in zip(start, block, strict=True)]
            high = [min(b, (i + 1) * self.edge) for b, i in zip(stop, block, strict=True)]
            target = tuple(slice(p - a, q - a) for p, q, a in zip(low, high, start, strict=True))
            first = [i * self.edge for i in block]
            source = tuple(slice(p - a, q - a) for p, q, a in zip(low, high, first, strict=True))
            out[(0, *target)] = self.blocks[block][source]
        return out


class Blosc:
    """Format of nnU-Net: blosc2 with LZ4HC at level 5, one thread."""

    name = "blosc2"

    def __init__(self, path: Path, _shape: Corner) -> None:
        self.array: Any = blosc2.open(str(path), mode="r", mmap_mode="r")

    @staticmethod
    def write(path: Path, image: np.ndarray) -> None:
        chunks, blocks = ((1, *(min(n, most) for n in image.shape[1:])) for most in (112, 32))
        how = blosc2.CParams(
            codec=blosc2.Codec.LZ4HC, clevel=5, filters=[blosc2.Filter.SHUFFLE], nthreads=1
        )
        blosc2.asarray(
            image, urlpath=str(path), mode="w", chunks=chunks, blocks=blocks, cparams=how
        )

    def read(self, start: Corner, stop: Corner) -> np.ndarray:
        x, y, z = (slice(a, b) for a, b in zip(start, stop, strict=True))
        return self.array[:, x, y, z]


def main() -> None:
    given = _parser().parse_args()
    image = _image(given.scan, given.shape)
    patch = tuple(min(n, most) for n, most in zip(given.patch, image.shape[1:], strict=True))
    print(
        f"{' x '.join(map(str, image.shape[1:]))} voxels, patch {' x '.join(map(str, patch))}, ",
        end="",
    )
    print(f"{4 * math.prod(patch) / 1e6:.2f} MB\n")
    columns = ["layout", "MB on disk", "s to write", "warm, ms CPU", "cold, MB read", "cold, ms"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for layout in (Flat, Announced, Blocks, *((Blosc,) if blosc2 else ())):
            print(
                _row(
                    layout,
                    Path(folder) / f"case.{'b2nd' if layout is Blosc else 'bin'}",
                    image,
                    patch,
                    given.patches,
                )
            )


def _row(layout: Any, path: Path, image: np.ndarray, patch: Corner, count: int) -> str:
    begin = time.process_time()
    layout.write(path, image)
    written = time.process_time() - begin
    random = np.random.default_rng(0)
    starts = [
        tuple(random.integers(0, np.array(image.shape[1:]) - patch + 1).tolist())
        for _ in range(count)
    ]
    boxes = [(start, tuple(a + n for a, n in zip(start, patch, strict=True))) for start in starts]
    case = layout(path, image.shape)
    for (x, y, z), (u, v, w) in boxes:  # and warm up
        if not np.array_equal(case.read((x, y, z), (u, v, w)), image[:, x:u, y:v, z:w]):
            raise SystemExit(f"{layout.name} reads something else")
    warm = [_timed(case, box, time.process_time) for box in boxes]
    del case
    cold = [_cold(layout, path, image.shape, box) for box in boxes[:15]]
    size = path.stat().st_size
    path.unlink()
    megabytes, seconds = (median(column) for column in zip(*cold, strict=True))
    cells = [size / 1e6, written, 1e3 * median(warm), megabytes / 1e6, 1e3 * seconds]
    return f"| {layout.name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |"


def _timed(case: Any, box: tuple[Corner, Corner], clock: Any) -> float:
    begin = clock()
    case.read(*box)
    return float(clock() - begin)


def _cold(layout: Any, path: Path, shape: Corner, box: tuple[Corner, Corner]) -> tuple[int, float]:
    case = layout(path, shape)  # a training opens each case once
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = _from_disk()
    seconds = _timed(case, box, time.perf_counter)
    return _from_disk() - before, seconds


def _from_disk() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def _image(scan: str, shape: list[int] | None) -> np.ndarray:
    image = read_volume(scan).array[:1].astype(np.float32)
    if shape:
        factors = [wanted / n for wanted, n in zip(shape, image.shape[1:], strict=True)]
        grown = ndimage.zoom(image[0], factors, order=1)[None]
        image = np.rint(grown + np.random.default_rng(0).normal(0, 10, grown.shape)).astype(
            np.float32
        )
    return np.ascontiguousarray((image - image.mean()) / image.std())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan")
    parser.add_argument("--shape", type=int, nargs=3, help="voxels to enlarge the scan to")
    parser.add_argument("--patch", type=int, nargs=3, default=[96, 96, 96])
    parser.add_argument("--patches", type=int, default=40)
    parser.add_argument("--folder", default=".", help="on the disk to be measured (here)")
    return parser


if __name__ == "__main__":
    main()
