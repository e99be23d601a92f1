"""YAML files read as overrides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segkit.config.compose import load, to_yaml
from segkit.config.keys import get
from segkit.config.override_file import LARGEST_FILE, file_words
from segkit.config.schema import TrainConfig
from segkit.errors import InputError, UsageError


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("trainer: {max_steps: 5}", "trainer.max_steps", 5),
        ("trainer.max_steps: 5", "trainer.max_steps", 5),
        ("trainer: {learning_rate: 1e-3}", "trainer.learning_rate", 0.001),
        ("trainer: {save_memory: true}", "trainer.save_memory", True),
        ("trainer: {threads: null}", "trainer.threads", None),
        ("trainer: {threads: }", "trainer.threads", None),
        ("network: residual_unet", "network.name", "residual_unet"),
        ("network: {features: [8, 16]}", "network.features", [8, 16]),
        ("plan: {memory: 8GB}", "plan.memory", "8GB"),
        ("plan: {spacing: [1, 1, 2.5]}", "plan.spacing", [1.0, 1.0, 2.5]),
        ("augment: {mirror: none}", "augment.mirror", "none"),
        ("fold: all", "fold", "all"),
        ("dataset: 'a, b=c (1)'", "dataset.path", "a, b=c (1)"),
        ('dataset: {path: "Räume #2"}', "dataset.path", "Räume #2"),
        ("dataset: {channels: [CT, no, 1]}", "dataset.channels", ["CT", "no", "1"]),
        (
            "dataset: {labels: {left lung: 1, 'liver, right': 5}}",
            "dataset.labels",
            {"left lung": 1, "liver, right": 5},
        ),
        (
            "dataset:\n  regions:\n    whole: [1, 2]\n    core: 2",
            "dataset.regions",
            {"whole": [1, 2], "core": [2]},
        ),
        (
            "compute: {name: slurm, partition: \"it's a\\\\ 'b'\"}",
            "compute.partition",
            "it's a\\ 'b'",
        ),
    ],
)
def test_a_value_means_what_it_means_on_the_command_line(
    text: str, key: str, value: object, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert get(load(file_words(tmp_path / "my.yaml") or []), key) == value


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_changes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(text)
    assert file_words(tmp_path / "my.yaml") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainer: {max_step: 5}",
            r"my.yaml: unknown override 'trainer.max_step'. Did you mean trainer.max_steps",
        ),
        (
            "trainr: {max_steps: 5}",
            r"my.yaml: unknown override 'trainr.max_steps'. Did you mean trainer.max_steps",
        ),
        ("seed: x", r"my.yaml: seed must be a whole number .*, not 'x'"),
        ("seed: '1'", r"my.yaml: seed must be a whole number .*, not '1'"),
        ("seed: [0, 1]", r"my.yaml: seed must be a whole number .*, not \[0, 1\]"),
        (
            "network: resid_unet",
            r"my.yaml: unknown choice network=resid_unet. Did you mean residual_unet",
        ),
        ("seed: 1\nseed: 2", "my.yaml: seed is given twice"),
        (
            "trainer.max_steps: 1\ntrainer: {max_steps: 2}",
            "my.yaml: trainer.max_steps is given twice",
        ),
        ("config: other.yaml", "my.yaml: config cannot be set in a file"),
        ("dataset: {labels: {a: x}}", "my.yaml: dataset.labels must be names"),
        ("? [a]\n: 1", r"my.yaml: a key must be a word, as in 'seed: 1' \(line 1\)"),
        ("trainer: {max_steps: {a: 1}}", "my.yaml: unknown override 'trainer.max_steps.a'"),
    ],
)
def test_wrong_keys_and_values_name_the_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        file_words(tmp_path / "my.yaml")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"- 1", "no keys with values"),
        (b"seed: [", "while parsing"),
        (b"a: &a [1]\nb: *a", r"an alias \(\*name\)"),
        (b"\xff\xfe\x00", "can't decode"),
        (b"[" * 2000, "my.yaml: expected a YAML file of overrides"),
        (b"#" * (LARGEST_FILE + 1), "more than 256 KiB"),
        (b"seed: \x00", "my.yaml: expected a YAML file"),
    ],
)
def test_no_file_of_overrides(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes(content)
    with pytest.raises(InputError, match=found):
        file_words(tmp_path / "my.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"nowhere.yaml: expected a YAML file of overrides.* found no such file\. Check the "
            r"path\.$"
        ),
    ):
        file_words(tmp_path / "nowhere.yaml")


def test_a_run_is_known_by_its_format_version(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(TrainConfig()))
    (tmp_path / "my.yaml").write_text("seed: 1")
    assert file_words(tmp_path / "config.yaml") is None
    assert file_words(tmp_path / "my.yaml") == ["seed=1"]


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no files of descriptors here")
def test_a_pipe_is_read_once() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"seed: 1")
    os.close(writer)
    assert file_words(f"/dev/fd/{reader}") == ["seed=1"]
    os.close(reader)


def test_a_run_gives_every_key_but_its_folder(tmp_path: Path) -> None:
    words = [
        "dataset=x",
        "trainer.max_minutes=3",
        "network.num_groups=2",
        "plan.memory=1GB",
        "run_dir=a",
        "rewind=c",
        "seed=4",
    ]
    first = load(words)
    (tmp_path / "config.yaml").write_text(to_yaml(first))
    again = load([f"config={tmp_path / 'config.yaml'}", "run_dir=b"])
    assert to_yaml(again) == to_yaml(first).replace("run_dir: a", "run_dir: b")
    (tmp_path / "plan.json").write_text("{}")
    assert load([f"config={tmp_path / 'config.yaml'}"]).plan.file == str(tmp_path / "plan.json")
    other = load(
        [f"config={tmp_path / 'config.yaml'}", "plan.patch=[8,8,8]", "trainer.max_steps=9"]
    )
    assert (other.plan.file, other.plan.memory, other.trainer.max_minutes) == (None, "auto", None)
    tuned = load([f"config={tmp_path / 'config.yaml'}", "weights=d"])
    assert (tuned.weights, tuned.rewind) == ("d", None)


def test_a_preset_beside_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(load(["dataset=x"])))
    with pytest.raises(
        UsageError, match=r"preset changes nothing with config=.*, which has every key"
    ):
        load([f"config={tmp_path / 'config.yaml'}", "preset=nnunet"])


def test_brackets_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("seed: " + "[" * 100_000)
    with pytest.raises(InputError, match="more than 50 nested keys or lists"):
        file_words(tmp_path / "a.yaml")
