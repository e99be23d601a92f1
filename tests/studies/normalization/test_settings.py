"""Words of the normalization study and the trainings that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.config.study_words import setting_rows
from segkit.errors import UsageError
from segkit.studies.normalization.lines import ORDER
from segkit.studies.normalization.settings import (
    NORMALIZATION,
    NormalizationSettings,
    Training,
)
from segkit.studies.norms.choices import NORMS
from segkit.training.outputs.run_folder import write_study

SMALL = ["study.batch_sizes=[1,4]", "study.samples=16"]


def test_words_are_split_into_overrides_and_settings() -> None:
    overrides, settings, config = NORMALIZATION.read_words(
        ["dataset=x", "study.seeds=[7]", "fold=1"]
    )
    assert overrides == ["dataset=x", "fold=1"]
    assert settings == NormalizationSettings(seeds=(7,))
    assert (config.dataset.path, config.fold) == ("x", 1)


def test_every_setting_has_a_text_and_every_norm_a_color() -> None:
    assert all(text for *_, text in setting_rows(NormalizationSettings))
    assert sorted(ORDER) == sorted(NORMS)


def test_matched_in_steps_all_trainings_take_the_same_steps_with_the_same_patches() -> None:
    settings = NormalizationSettings(batch_sizes=(1, 2, 8), samples=160)
    assert [settings.accumulate(size) for size in (1, 2, 8)] == [8, 4, 1]
    assert [settings.steps(size) for size in (1, 2, 8)] == [20, 20, 20]


def test_matched_in_samples_small_batches_take_more_steps() -> None:
    settings = NormalizationSettings(batch_sizes=(1, 2, 8), samples=160, match="samples")
    assert [settings.accumulate(size) for size in (1, 2, 8)] == [1, 1, 1]
    assert [settings.steps(size) for size in (1, 2, 8)] == [160, 80, 20]


def test_trainings_are_every_combination_a_seed_at_a_time() -> None:
    settings = NormalizationSettings(norms=("group", "batch"), batch_sizes=(1,), seeds=(0, 3))
    assert settings.trainings() == [
        Training("group", 1, 0),
        Training("batch", 1, 0),
        Training("group", 1, 3),
        Training("batch", 1, 3),
    ]
    assert settings.trainings()[2].name == "group-batch1-seed3"
    assert settings.reference == "group"
    assert NormalizationSettings(norms=("layer", "batch")).reference == "layer"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "seed: study.seeds sets the seeds; leave it out"),
        (["network.norm=batch"], "network.norm: study.norms sets the norms; leave it out"),
        (["network.num_groups=2"], "study.norms sets the groups, as group_8; leave it out"),
        (["trainer.batch_size=2"], "study.batch_sizes sets the batches; leave it out"),
        (["trainer.max_minutes=2"], "study.samples sets the length, the same for every training"),
        (["fold=all"], "fold=all leaves no case to measure Dice on"),
        (["compute=ddp"], "compute=ddp: a normalization study trains in this process"),
        (["study.norms=[spectral]"], "study.norms must be a list of different words such as"),
        (
            ["study.memory=1KB"],
            "study.memory must be a size such as 4GB, of at least 1MiB, or none",
        ),
        (["study.samples=18"], "18 and the batch sizes 1, 4 do not fit: .* 4 does not fit"),
        (["study.batch_sizes=[4,6]", "study.samples=24"], "and 6 of every other. 4 does not"),
        (["netwrk.norm=x"], "unknown override 'netwrk.norm'"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], message: str) -> None:
    given = {word.partition("=")[0] for word in words}
    others = [word for word in SMALL if word.partition("=")[0] not in given]
    with pytest.raises(UsageError, match=message):
        NORMALIZATION.read_words([*others, *words])


def test_uneven_batches_are_fine_when_they_are_not_accumulated() -> None:
    words = ["study.batch_sizes=[4,6]", "study.samples=24", "study.match=samples"]
    assert NORMALIZATION.read_words(words)[1].steps(6) == 4


def test_a_folder_alone_continues_with_its_settings(tmp_path: Path) -> None:
    write_study(tmp_path, NORMALIZATION.name, ["study.seeds=[5]", "study.samples=8"])
    (tmp_path / "config.yaml").touch()
    _, settings, _ = NORMALIZATION.read_words([f"run_dir={tmp_path}", "study.seeds=[5,6]"])
    assert (settings.seeds, settings.samples) == ((5, 6), 8)


def test_studies_with_and_without_memory_have_different_folders() -> None:
    without, small, large = (
        NormalizationSettings(memory=memory).identity for memory in ("none", "1GB", "4GB")
    )
    assert without != small == large  # another size adds cells, but changes none
    assert without != NormalizationSettings(memory="none", cases=3).identity
