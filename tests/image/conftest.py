"""The image under test, which docker/image_test.sh builds; without it these tests are skipped."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STRANGER = 54321 if os.getuid() == 0 else os.getuid()
"""User and group without a password entry in the image; only root can give a folder to others."""
CONFINED = (
    "--network=none",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
"""How a careful hospital runs it. Shared memory has the engines' default of 64 MB."""


@dataclass(frozen=True)
class Image:
    """An image and the engine that runs it."""

    name: str
    engine: Sequence[str]
    flags: Sequence[str]

    def run(
        self,
        *words: str,
        mounts: Sequence[str] = (),
        entrypoint: str = "",
        user: str = f"{STRANGER}:{STRANGER}",
    ) -> subprocess.CompletedProcess[str]:
        """Run the image, or another program in it, confined; the result has exit code and output.

        Args:
            words: the arguments.
            mounts: as for ``-v`` of docker.
            entrypoint: a program other than segkit.
            user: user and group.
        """
        volumes = [word for mount in mounts for word in ("-v", mount)]
        start = ["--entrypoint", entrypoint] if entrypoint else []
        return subprocess.run(
            [
                *self.engine,
                "run",
                "--rm",
                *self.flags,
                *CONFINED,
                f"--user={user}",
                *volumes,
                *start,
                self.name,
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def succeed(self, *words: str, **more: Any) -> str:
        """Return the standard output of `run`; an error if the exit code is not 0."""
        done = self.run(*words, **more)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def configuration(self) -> dict[str, Any]:
        """Return what the image says of itself: user, labels, health check, size."""
        done = subprocess.run(
            [*self.engine, "image", "inspect", self.name], capture_output=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found


@pytest.fixture(scope="session")
def image() -> Image:
    """The image that $SEGKIT_IMAGE names."""
    name = os.environ.get("SEGKIT_IMAGE")
    if not name:
        pytest.skip("no image to test: make image-test builds one (docker, or podman and buildah)")
    engine = os.environ.get("SEGKIT_ENGINE", "docker").split()
    return Image(name, engine, os.environ.get("SEGKIT_RUN_FLAGS", "").split())


@pytest.fixture(scope="session")
def other_build(image: Image) -> Image:
    """The same commit built again."""
    return Image(image.name.rpartition(":")[0] + ":again", image.engine, image.flags)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder that belongs to the user in the container."""
    folder = tmp_path / "results"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    return folder
