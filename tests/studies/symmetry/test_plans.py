"""Plans of the arms: one patch for all, networks of all groups, in 3D and in 2D."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segkit.config.compose import load
from segkit.dataset.dataset import Dataset
from segkit.errors import UsageError
from segkit.plans.rules import problems
from segkit.studies.symmetry.cells import arm_config, study_cells
from segkit.studies.symmetry.plans import StudyPlans, shared_config, study_plans
from segkit.studies.symmetry.settings import Arm, SymmetrySettings
from segkit.training.setup import Setup, set_up
from tests.training.conftest import balls

__all__ = ["balls"]

Opened = Callable[..., Setup]


@pytest.fixture
def opened(balls: Dataset, tmp_path: Path) -> Opened:
    """Return opened(settings, *overrides), the start of a study of the balls."""

    def open_(settings: SymmetrySettings, *overrides: str) -> Setup:
        store = balls.root.parent / "store-of-plans"
        words = [f"run_dir={tmp_path / 'study'}", f"dataset.store={store}", *overrides]
        config = shared_config(load(words), settings, words)
        return set_up(config, balls, given=(), kind="symmetry")

    return open_


def networks(plans: StudyPlans) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {arm.name: (plan.network.name, plans.widths(arm)) for arm, plan in plans.arms.items()}


def test_all_arms_have_the_patch_of_the_largest_group(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    settings = SymmetrySettings(("mirror", "octahedral24"), ("multiply_adds",), features=(24, 24))
    with caplog.at_level(logging.WARNING):
        plans = study_plans(opened(settings), settings)
    assert len({(plan.patch, plan.spacing, plan.batch_size) for plan in plans.arms.values()}) == 1
    x, y, z = plans.arms[Arm("plain")].patch
    assert x == y == z
    assert networks(plans) == {
        "plain": ("unet", (24, 24)),
        "mirror_augmented": ("unet", (24, 24)),
        "mirror_multiply_adds": ("equivariant_unet", (24, 24)),
        "octahedral24_augmented": ("unet", (24, 24)),
        "octahedral24_multiply_adds": ("equivariant_unet", (24, 24)),
    }
    assert [len(plans.poses(group)) for group in settings.symmetries] == [2, 24]
    assert not [problem for plan in plans.arms.values() for problem in problems(plan)]
    assert "the network cannot tell labels apart by their position" in caplog.text


def test_widths_that_are_given_are_those_of_the_plain_network_only(opened: Opened) -> None:
    settings = SymmetrySettings(("d4",), features=(4, 8))
    study = opened(settings)
    plans = study_plans(study, settings)
    assert [layer.channels for layer in study.plan.network.layers][:3] == [8, 8, 8]
    assert plans.widths(Arm("plain")) == plans.widths(Arm("augmented", "d4")) == (4, 8)
    assert plans.widths(Arm("multiply_adds", "d4")) == (8, 8)
    wide = plans.cost(Arm("parameters", "d4")).parameters
    assert wide == pytest.approx(plans.cost(Arm("plain")).parameters, rel=0.3)
    config = arm_config(study.config, plans, Arm("parameters", "d4"), steps=3, seed=5)
    assert config.network.features == list(plans.widths(Arm("parameters", "d4")))
    assert (config.network.symmetry, config.seed, config.fold) == ("d4", 5, 0)
    assert config.trainer.max_steps == 3


def test_without_widths_the_plain_network_has_whole_orbits_and_an_exact_match(
    opened: Opened,
) -> None:
    settings = SymmetrySettings(("d4",), ("multiply_adds",))
    plans = study_plans(opened(settings), settings)
    equivariant = Arm("multiply_adds", "d4")
    assert all(width % 8 == 0 for width in plans.widths(Arm("plain")))
    assert plans.cost(equivariant).multiply_adds == plans.cost(Arm("plain")).multiply_adds


def test_in_2d_scans_are_moved_in_the_plane_of_the_slices(opened: Opened) -> None:
    settings = SymmetrySettings(("p4m", "p4"), features=(8, 8))
    study = opened(settings, "network.dims=2")
    plans = study_plans(study, settings)
    axis = study.plan.slice_axis
    assert {element.axes[axis] for element in plans.poses("p4m")} == {axis}  # type: ignore[index]
    assert [len(plans.poses(group)) for group in ("p4m", "p4")] == [8, 4]
    assert not [problem for plan in plans.arms.values() for problem in problems(plan)]


def test_a_smaller_group_that_does_not_fit_is_refused(opened: Opened) -> None:
    settings = SymmetrySettings(("p4", "octahedral24"), features=(24, 24))
    with pytest.raises(UsageError, match=r"network\.symmetry=p4 is not for networks in 3D"):
        study_plans(opened(settings), settings)


def test_cells_of_a_seed_have_the_same_cases_in_all_arms(opened: Opened) -> None:
    settings = SymmetrySettings(("mirror",), seeds=(0, 1), samples=2, features=(4, 8))
    study = opened(
        settings, "trainer.precision=float32", "trainer.layout=contiguous", "trainer.batch_size=2"
    )
    plans = study_plans(study, settings)
    cells = study_cells(study, settings, plans)
    assert len(cells) == 2 * 4  # four cases in four folds: three train
    splits = [cell.content["split"]["training"] for cell in cells]
    assert {len(ids) for ids in splits} == {3}
    assert len({cell.name for cell in cells}) == 8
    few = replace(settings, samples=study.plan.batch_size - 1)
    with pytest.raises(UsageError, match=r"study\.samples=\d is less than the \d patches of one"):
        study_cells(study, few, plans)
    assert cells[0].facts == {"symmetry": "", "arm": "plain", "training_cases": 3, "seed": 0}


def test_widths_fit_the_channels_per_group_that_the_user_gives(opened: Opened) -> None:
    settings = SymmetrySettings(("mirror",), features=(8, 16))
    plans = study_plans(opened(settings, "network.channels_per_group=8"), settings)
    widths = plans.widths(Arm("parameters", "mirror"))
    assert all(width % 8 == 0 for width in widths)
    settings = SymmetrySettings(("d4",), features=(8, 16))
    with pytest.raises(UsageError, match="split the orbits of 8 channels"):
        study_plans(opened(settings, "network.channels_per_group=4"), settings)
