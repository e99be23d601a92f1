"""Write the lock files of the container image: docker/requirements*.txt, with versions and hashes.

    make image-lock        needs uv; versions come from pyproject.toml and constraints.txt

The hashes cover every wheel of a version, so that one file serves both flavours of the image and
each of its Python versions. PyTorch is apart, because its CPU build is a different wheel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
OF_CUDA = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
"""Packages of the CUDA flavour only."""
BUILD = ("pip", "hatchling", "setuptools", "cyclonedx-bom")
"""What builds the image: none of it is in the image, except setuptools, which PyTorch needs."""
NOTE = "# Written by tools/image_lock.py (make image-lock).\n"


def compiled(source: str, *flags: str) -> list[str]:
    """Return the requirements that uv finds for the file ``source``, each with its hashes."""
    words = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header")
    done = subprocess.run(
        ["uv", "pip", "compile", source, *words, "--no-annotate", "-c", "constraints.txt", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return requirements(done.stdout)


def requirements(lock: str) -> list[str]:
    """Return the entries of a lock file, each with the lines of its hashes.

    >>> requirements("a==1 \\\\\\n    --hash=sha256:0\\nb==2\\n")
    ['a==1 \\\\\\n    --hash=sha256:0', 'b==2']
    """
    return re.findall(r"^\S.*(?:\n[ ].*)*", lock, re.MULTILINE)


def main() -> None:
    found = compiled("pyproject.toml", "--extra", "dicom")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "build.in").write_text("\n".join(BUILD), encoding="utf-8")
        build = compiled(str(Path(folder) / "build.in"))
    version = next(entry for entry in found if entry.startswith("torch==")).split()[0]
    files = {
        "requirements.txt": [entry for entry in found if not OF_CUDA.match(entry)],
        "requirements-cuda.txt": [entry for entry in found if OF_CUDA.match(entry)],
        # The index of PyTorch, which alone has this build, states the hash; pip checks it.
        "requirements-cpu.txt": [f"{version}+cpu"],
        "requirements-build.txt": build,
    }
    for name, entries in files.items():
        (DOCKER / name).write_text(NOTE + "\n".join(entries) + "\n", encoding="utf-8")
        print(f"docker/{name}: {len(entries)} packages")


if __name__ == "__main__":
    main()
