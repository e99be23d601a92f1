"""The lock files of the container image agree with constraints.txt, and their tools work."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import re
import subprocess
from pathlib import Path

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


def checked(wheels: Path) -> subprocess.CompletedProcess[str]:
    """Let the build check a folder of wheels."""
    words = ["bash", str(ROOT / "docker" / "install.sh"), "check_wheels", str(wheels)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_build_takes_only_wheels_whose_hash_was_written_down(tmp_path: Path) -> None:
    """PyTorch has no hash in the lock: another wheel of it would be installed."""
    (tmp_path / "a-1.whl").write_bytes(b"a")
    digest = hashlib.sha256(b"a").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  a-1.whl\n")
    assert checked(tmp_path).returncode == 0
    (tmp_path / "torch-2.whl").write_bytes(b"b")
    done = checked(tmp_path)
    assert done.returncode == 3
    assert "expected the files of SHA256SUMS only, found torch-2.whl" in done.stderr
    (tmp_path / "torch-2.whl").unlink()
    (tmp_path / "a-1.whl").write_bytes(b"c")
    assert checked(tmp_path).returncode == 1


ENGINE = """#!/bin/sh
echo "$1" >> "$0.log"
case $1 in from) echo container ;; run) exit 7 ;; esac
"""
"""An engine whose container fails."""


def test_a_descriptor_that_fails_stops_the_build(tmp_path: Path) -> None:
    """Otherwise the label of XNAT would be empty, and the build would seem to be complete."""
    engine = tmp_path / "buildah"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    done = subprocess.run(
        [ROOT / "docker" / "build.sh", "cpu"],
        env={**os.environ, "ENGINE": str(engine)},
        check=False,
        capture_output=True,
    )
    assert done.returncode == 7
    assert Path(f"{engine}.log").read_text().split() == ["build", "from", "run", "rm"]


def test_packages_of_the_system_in_the_bill_of_materials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner of vulnerabilities finds a package by its purl, in which + and : are encoded."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    contents = importlib.import_module("image_contents")
    (added,) = contents.add_debian({}, [("libstdc++6", "1:14.2-19")])["components"]
    system = platform.freedesktop_os_release()["ID"]
    assert added["purl"] == f"pkg:deb/{system}/libstdc%2B%2B6@1%3A14.2-19"
