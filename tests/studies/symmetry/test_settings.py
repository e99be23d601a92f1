"""Words of the symmetry study and the trainings that they make."""

from __future__ import annotations

import pytest

from segkit.config.study_words import setting_rows
from segkit.errors import UsageError
from segkit.plans.symmetry import SYMMETRIES
from segkit.studies.symmetry.settings import SYMMETRY, Arm, SymmetrySettings, Training


def test_every_setting_has_a_text() -> None:
    assert all(text for *_, text in setting_rows(SymmetrySettings))


def test_trainings_are_every_combination_a_seed_at_a_time() -> None:
    settings = SymmetrySettings(("d4", "mirror"), ("parameters",), (8, 2), (3, 0))
    arms = ["plain", "d4_augmented", "d4_parameters", "mirror_augmented", "mirror_parameters"]
    assert [arm.name for arm in settings.arms] == arms
    trainings = settings.trainings(settings.counts(8))
    assert len(trainings) == 5 * 2 * 2
    assert trainings[6] == Training(Arm("augmented", "d4"), 8, 3)
    assert trainings[6].name == "d4_augmented-cases8-seed3"


def test_the_largest_group_has_a_multiple_of_the_elements_of_all_others() -> None:
    settings = SymmetrySettings(tuple(SYMMETRIES))
    assert settings.largest == "octahedral48"
    assert all(48 % row.order == 0 for row in SYMMETRIES.values())


def test_more_training_cases_than_there_are_is_refused() -> None:
    message = r"has 200; training cases in this fold: 160\. Give numbers up to 160, or auto"
    with pytest.raises(UsageError, match=message):
        SymmetrySettings(training_cases=(4, 200)).counts(160)


def test_more_seeds_cases_and_matches_do_not_change_the_folder_of_the_study() -> None:
    few = SymmetrySettings(matches=("parameters",), training_cases=(4,), seeds=(0,))
    assert few.identity == SymmetrySettings().identity
    assert SymmetrySettings(samples=8).identity != few.identity


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "seed: study.seeds sets the seeds; leave it out"),
        (["network=unet"], "network.name: study.symmetries sets the networks; leave it out"),
        (["network.features=[8,16]"], "study.features sets the widths of the plain network"),
        (["augment.mirror=all"], "augment.mirror: each training mirrors and turns by its own"),
        (["trainer.max_steps=2"], "study.samples sets the length; leave it out"),
        (["fold=all"], "fold=all leaves no case to measure Dice on"),
        (["compute=ddp"], "compute=ddp: a symmetry study trains in this process"),
        (["study.symmetries=[p5]"], "study.symmetries must be a list of different words such as"),
        (["study.training_cases=[0]"], "whole numbers of at least 1, such as .*; or auto, not"),
        (["study.features=[8]"], "a list of two or more whole numbers of at least 1"),
        (["study.features=8"], "a list of two or more whole numbers of at least 1"),
        (["study.seed=[0]"], "Did you mean study.seeds"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SYMMETRY.read_words(["dataset=x", *words])
