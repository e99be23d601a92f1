"""From overrides to a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

import segkit
from segkit import dataset_plan
from segkit.config import load
from segkit.dataset_plan import given_plan, memory_budget, open_dataset
from segkit.errors import InputError, UsageError
from segkit.files import write_text
from segkit.plans import plan_text


def test_plan_in_python_takes_overrides(phantom: Path) -> None:
    plan = segkit.plan(phantom, "network.features=[4,8]", "trainer.batch_size=1", "augment.mirror=[2]")
    assert (plan.batch_size, plan.mirror_axes) == (1, (2,))


def test_no_dataset() -> None:
    with pytest.raises(UsageError, match="which dataset"):
        open_dataset(load())


def test_a_plan_of_other_channels_is_refused(phantom: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "plan.json", plan_text(segkit.plan(phantom, "network.features=[4,8]")))
    other = open_dataset(load([f"dataset={phantom}", "dataset.channels=[T2]"]))
    with pytest.raises(
        InputError, match=r"plan.json: expected the dataset's channels T2, found \w+. Plan this dataset"
    ):
        given_plan(tmp_path / "plan.json", other)


@pytest.mark.parametrize(
    ("words", "gpu", "memory"),
    [
        ([], False, "500MB"),
        ([], True, "8GB"),
        (["compute=cpu"], True, "500MB"),
        (["compute=gpu"], False, "8GB"),
        (["plan.memory=3GB"], True, "3GB"),
    ],
)
def test_memory_budget(words: list[str], gpu: bool, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_plan, "has_gpu", lambda: gpu)
    assert memory_budget(load(words)) == memory
