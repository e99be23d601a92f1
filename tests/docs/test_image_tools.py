"""The lock files of the container image agree with constraints.txt, and their tools work."""

from __future__ import annotations

import re

import pytest

from tools.image_lock import OF_CUDA, requirements
from tools.licenses import CORE
from tools.licenses import requirements as dependencies
from tools.pages import ROOT

LOCK = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


def versions(name: str) -> dict[str, str]:
    """Versions in a lock file or in constraints.txt."""
    return dict(LOCK.findall((ROOT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("flavor", ["cpu", "cuda"])
def test_the_image_has_the_versions_that_are_tested(flavor: str) -> None:
    tested = versions("constraints.txt")
    locked = versions("docker/requirements.txt") | versions(f"docker/requirements-{flavor}.txt")
    both = locked.keys() & tested.keys()
    assert {name: locked[name].removesuffix("+cpu") for name in both} == {
        name: tested[name] for name in both
    }


@pytest.mark.parametrize("flavor", ["cpu", "cuda"])
def test_the_image_has_every_dependency_and_dicom(flavor: str) -> None:
    locked = versions("docker/requirements.txt") | versions(f"docker/requirements-{flavor}.txt")
    needed = {row.name.lower() for row in dependencies() if row.extra in (CORE, "dicom")}
    assert needed - locked.keys() == set()


@pytest.mark.parametrize("name", ["requirements", "requirements-cuda", "requirements-build"])
def test_every_entry_has_hashes(name: str) -> None:
    entries = requirements((ROOT / "docker" / f"{name}.txt").read_text(encoding="utf-8"))
    locks = [entry for entry in entries if not entry.startswith("#")]
    assert locks
    assert [entry for entry in locks if "--hash=sha256:" not in entry] == []


def test_entries_keep_their_hashes() -> None:
    lock = "a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nb==2\n"
    assert requirements(lock) == ["a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1", "b==2"]


def test_packages_of_cuda_are_apart() -> None:
    assert OF_CUDA.match("nvidia-cudnn-cu13==9")
    assert OF_CUDA.match("torch==2.13.0")
    assert not OF_CUDA.match("torchmetrics==1")
