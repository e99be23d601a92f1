from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segkit.bundle.pack import pack_bundle
from segkit.errors import InputError
from segkit.inference.loading import read_models

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_several_is_an_ensemble(here: Path) -> None:
    shutil.copytree(FROZEN, here / "runs" / "fold10" / "bundle")
    shutil.copytree(FROZEN, here / "runs" / "fold2" / "bundle")
    pack_bundle(FROZEN, here / "runs" / "last.segkit")
    assert [bundle.path.parent.name for bundle in read_models("runs")] == [
        "fold2",
        "fold10",
        "runs",
    ]


def test_nothing_in_the_folder(here: Path) -> None:
    with pytest.raises(InputError, match=r"bundle.json: expected a file of the bundle, found none"):
        read_models(here)
