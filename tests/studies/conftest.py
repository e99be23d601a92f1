"""Folders in which commands were run once, and copies of them that a test may change."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from segkit.cli import main

RunOnce = Callable[..., Path]
Copied = Callable[[Path], Path]


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> RunOnce:
    """Return run_once(*commands), the folder in which the commands were run, for all tests alike.

    Tests must not change it.
    """
    folders: dict[tuple[tuple[str, ...], ...], Path] = {}

    def run(*commands: Sequence[str]) -> Path:
        key = tuple(map(tuple, commands))
        if key not in folders:
            folder = tmp_path_factory.mktemp("finished")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                assert [main(command) for command in key] == [0] * len(key)
            folders[key] = folder
        return folders[key]

    return run


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copied:
    """Return copied(folder), which copies a folder and makes the copy the current folder."""

    def copy(folder: Path) -> Path:
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return copy
