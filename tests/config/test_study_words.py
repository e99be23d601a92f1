"""Words study.KEY=VALUE of the command line."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from segkit.config.study_words import (
    given_settings,
    number,
    one_of,
    setting,
    setting_lines,
    split_words,
    true_or_false,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.errors import UsageError


@dataclass(frozen=True)
class Settings:
    seeds: tuple[int, ...] = setting((0, 1, 2), whole_numbers(0, "[0,1,2]"))
    norms: tuple[str, ...] = setting(("group",), words_of(("group", "batch"), "[group,batch]"))
    samples: int = setting(100, whole_number(1, most=1000))
    fraction: float = setting(0.2, number(0, 1))
    match: str = setting("samples", one_of(("samples", "steps")))
    exact: bool = setting(True, true_or_false(), "whether it is exact")


def test_words_of_the_training_stay_in_their_order() -> None:
    words = ["dataset=a b", "study.seeds=[4,0]", "seed=1", "study.norms=[batch]", "studyx.y=1"]
    others, settings = split_words(words, Settings)
    assert others == ["dataset=a b", "seed=1", "studyx.y=1"]
    assert settings == Settings(seeds=(4, 0), norms=("batch",))


def test_every_kind_of_value() -> None:
    words = ["study.samples=7", "study.fraction=0.5", "study.match=steps", "study.exact=false"]
    _, settings = split_words(words, Settings)
    assert settings == Settings(samples=7, fraction=0.5, match="steps", exact=False)
    assert split_words(given_settings(settings), Settings)[1] == settings


def test_another_prefix_is_another_set_of_words() -> None:
    others, settings = split_words(["budget.samples=3", "study.samples=4"], Settings, "budget")
    assert (others, settings.samples) == (["study.samples=4"], 3)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.seed=[1]", "unknown setting 'study.seed'. Did you mean study.seeds?"),
        ("study.zzz=1", "unknown setting 'study.zzz'. The settings are study.seeds, study.norms,"),
        (
            "study.seeds=3",
            "study.seeds must be a list of different whole numbers of at least 0, su",
        ),
        ("study.seeds=[]", "such as [0,1,2], not []"),
        ("study.seeds=[1,1]", "not [1,1]"),
        ("study.seeds=[0.5]", "not [0.5]"),
        (
            "study.seeds=0,1",
            "'study.seeds=0,1' names several values: write a list as study.seeds=[",
        ),
        ("study.norms=[layer]", "words such as [group,batch], out of group or batch, not [layer]"),
        ("study.norms=[[group]]", "not [[group]]"),
        ("study.samples=1001", "study.samples must be a whole number from 1 to 1000, not 1001"),
        ("study.samples=true", "not true"),
        ("study.samples=null", "not null"),
        ("study.fraction=2", "study.fraction must be a number from 0 to 1, not 2"),
        ("study.match=epochs", "study.match must be samples or steps, not epochs"),
        ("study.exact=1", "study.exact must be true or false, not 1"),
        ("study.samples", "cannot read the override 'study.samples'"),
    ],
)
def test_a_wrong_word_is_refused_with_what_is_allowed(word: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        split_words([word], Settings)
    assert message in str(error.value)


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"study\.samples is given twice: give it one value"):
        split_words(["study.samples=1", "study.samples=2"], Settings)


def test_lines_of_the_help() -> None:
    lines = setting_lines(Settings).splitlines()
    assert lines[0].split(maxsplit=1) == [
        "study.seeds=[0,1,2]",
        "a list of different whole numbers of at least 0, such as",
    ]
    assert lines[-1].split(maxsplit=1) == ["study.exact=true", "whether it is exact: true or false"]
