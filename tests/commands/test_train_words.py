"""Overrides from DATASET, KEY=VALUE words and the file of --config."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from segkit.commands.train_words import training_words, with_dataset
from segkit.errors import UsageError


@pytest.mark.parametrize(
    "path",
    [
        "scans",
        "a b",
        "a,b",
        "a (1)=b",
        "räume, neu",
        "x/seed=1",
        "[x]",
        "{x}",
        "C:\\data=x",
        "it's",
        "~/x",
        "日本",
    ],
)
def test_any_path_is_the_dataset(path: str) -> None:
    assert with_dataset([path, "seed=1"]) == [f"dataset={path}", "seed=1"]
    assert with_dataset(["seed=1", path]) == ["seed=1", f"dataset={path}"]


@pytest.mark.parametrize("path", ["seed=1", "data=x", "network=unet"])
def test_a_folder_named_like_an_override(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).mkdir()
    assert with_dataset([path, "trainer.max_steps=1"]) == [f"dataset={path}", "trainer.max_steps=1"]


def test_an_override_stays_one_beside_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed=1").mkdir()
    words = ["seed=1", "dataset=x"]
    assert with_dataset(words) == words


def test_a_folder_named_null_is_a_folder() -> None:
    assert with_dataset(["null"]) == ["dataset=./null"]


@pytest.mark.parametrize(
    "words", [["a", "b"], ["a", "dataset=b"], ["dataset.path=b", "a"], ["my", "scans"]]
)
def test_two_datasets_are_refused(words: list[str]) -> None:
    with pytest.raises(
        UsageError, match=r"two datasets: '.*' and '.*'\. Give one; a path with spaces needs quotes"
    ):
        with_dataset(words)


def test_single_quotes_that_the_shell_left_in_place() -> None:
    with pytest.raises(UsageError, match=r"\[CT\]' still has its single quotes.*double quotes"):
        with_dataset(["scans", "'dataset.channels=[CT]'"])


@pytest.mark.parametrize(
    "split", ["trainer.max_minutes 1", "trainer.max_minutes = 1", "trainer.max_minutes= 1"]
)
def test_an_override_with_spaces(split: str) -> None:
    with pytest.raises(
        UsageError, match=r"^an override is one word without spaces: write trainer\.max_minutes=1$"
    ):
        with_dataset(["scans", *split.split()])


def given(*words: str, config: Path | None = None) -> argparse.Namespace:
    return argparse.Namespace(words=list(words), config=None if config is None else str(config))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["x", "dataset.labels=spleen:1", "dataset.labels=liver:5"],
            "the shell has expanded the braces of dataset.labels: put the whole override in "
            "quotes, as in "
            "'dataset.labels={spleen:1,liver:5}'",
        ),
        (
            ["dataset.regions=whole:[1,2]", "dataset.regions=core:2", "x"],
            "as in 'dataset.regions={whole:[1,2],core:2}'",
        ),
        (
            ["dataset.regions=whole:1", "dataset.regions=whole:2", "dataset.regions=core:2"],
            "as in 'dataset.regions={whole:[1,2],core:2}'",
        ),
        (["dataset.channels=CT", "dataset.channels=PET"], "as in 'dataset.channels=[CT,PET]'"),
        (
            ["x", "dataset.labels={left", "lung:1,liver:5}", "seed=1"],
            "the shell has split dataset.labels at a space: put the whole override in quotes, as "
            "in "
            "'dataset.labels={left lung:1,liver:5}'",
        ),
        (
            ["network.features=4", "network.features=8"],
            "give it one value, such as network.features=[4,8]",
        ),
        (
            ["x", "seed=0", "seed=1"],
            "seed is given twice: give it one value, or with --multirun several as seed=0,1",
        ),
    ],
)
def test_what_the_shell_took_apart_is_recognized(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        training_words(given(*words))
    assert message in str(error.value)


def test_a_word_too_long_for_a_path_is_no_path() -> None:
    assert with_dataset(["a=" + "x" * 5000]) == ["a=" + "x" * 5000]


def test_the_command_line_replaces_what_the_file_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="segkit")
    file = tmp_path / "my.yaml"
    file.write_text(
        "network: {name: unet, convs: 3}\nseed: 1\ndataset: {path: old, labels: {a: 1}}\n"
    )
    words = training_words(
        given("new", "network=residual_unet", "dataset.regions={b:2}", config=file)
    )
    assert words == ["seed=1", "dataset=new", "network=residual_unet", "dataset.regions={b:2}"]
    assert (
        "the command line replaces network.name=unet, network.convs=3, dataset.path=old"
        in caplog.text
    )
