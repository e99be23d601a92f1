"""Measure the image that docker/image_test.sh built: sizes, start, and predict inside and outside.

    python tools/image_figures.py        with the environment that docker/image_test.sh sets

Inside and outside take turns, and the times are those of the command alone: starting the container
is a line of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segkit.dataset.phantom import write_phantom

TURNS = 5
TARGET = 1.05
"""Largest time of predict in the image, as a multiple of that outside."""
IMAGE = os.environ["SEGKIT_IMAGE"]
MODEL = Path(os.environ["SEGKIT_IMAGE_MODEL"])
ENGINE = os.environ["SEGKIT_ENGINE"].split()
RUN = [*ENGINE, "run", "--rm", *os.environ["SEGKIT_RUN_FLAGS"].split(), "--network=none"]
# Threads of the computation: as many inside as outside.
RUN += ["--env", "OMP_NUM_THREADS"] if "OMP_NUM_THREADS" in os.environ else []
TIMED = 'TIMEFORMAT="%R %U %S"; time "$@" > /dev/null'
"""Bash: run a command; the last line of the standard error is its wall, user and system time."""


class Time(NamedTuple):
    """Seconds of a command: on the clock, and on all cores together."""

    wall: float
    cores: float


def main() -> None:
    size = output(*ENGINE, "image", "inspect", "--format", "{{.Size}}", IMAGE)
    packed = output("bash", "-c", f"{' '.join(ENGINE)} save {IMAGE} | gzip | wc -c")
    print(f"size: {int(size) / 1e9:.2f} GB; {int(packed) / 1e9:.2f} GB saved and packed by gzip")
    show("true (the container alone)", ["true"], ["true"])
    version = ["--version"]
    show("segkit --version", ["segkit", *version], [sys.executable, "-m", "segkit", *version])
    with tempfile.TemporaryDirectory() as folder:
        scans = write_phantom(Path(folder) / "phantom", cases=2) / "imagesTr"
        words = ["predict", "-o", "/tmp/segkit-figures", "--overwrite"]
        outside = [sys.executable, "-m", "segkit", *words, str(scans), "-m", str(MODEL)]
        inside = ["segkit", *words, "/input", "-m", MODEL.stem]
        times = show("segkit predict, two scans", inside, outside, f"{scans}:/input:ro")
    clock, cores = (times[0][part] / times[1][part] for part in range(2))
    print(
        f"predict in the image takes {clock:.2f} of the time outside ({cores:.2f} of that of all"
        f" cores); the target is {TARGET}"
    )


def show(name: str, inside: Sequence[str], outside: Sequence[str], mount: str = "") -> list[Time]:
    """Print and return the medians of a command, inside and outside."""
    volumes = ["-v", mount] if mount else []
    start = [*RUN, *volumes, "--entrypoint", "bash", IMAGE, "-c", TIMED, "-", *inside]
    pairs = [(timed(start), timed(["bash", "-c", TIMED, "-", *outside])) for _ in range(TURNS)]
    medians = [
        Time(*(statistics.median(one[place][part] for one in pairs) for part in range(2)))
        for place in range(2)
    ]
    whole = timed(["bash", "-c", TIMED, "-", *start])
    print(
        f"{name}: inside {medians[0].wall:.2f} s ({medians[0].cores:.2f} s of all cores),"
        f" outside {medians[1].wall:.2f} s ({medians[1].cores:.2f} s);"
        f" inside with the start of the container {whole.wall:.2f} s"
    )
    return medians


def timed(words: Sequence[str]) -> Time:
    """Run a command under TIMED and return its time; exit if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{words}\n{done.stderr}")
    wall, user, system = map(float, done.stderr.strip().splitlines()[-1].split())
    return Time(wall, user + system)


def output(*words: str) -> str:
    """Return the output of a command."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
