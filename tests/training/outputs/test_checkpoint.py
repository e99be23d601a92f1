"""The checkpoint that is used; the last readable one is kept."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segkit.errors import InputError
from segkit.training.outputs.checkpoint import (
    Checkpoints,
    check_nothing_lost,
    has_checkpoint,
    newest_checkpoint,
)


def test_a_folder_without_a_complete_file_has_none(tmp_path: Path) -> None:
    (tmp_path / f".{'0' * 32}.ckpt").write_bytes(b"half")
    assert not has_checkpoint(tmp_path)
    assert not has_checkpoint(tmp_path / "none")
    assert newest_checkpoint(tmp_path) is None


CONTENT = {
    "plan": "0a1b",
    "elapsed": 1.5,
    "mode": {"precision": "float32", "layout": "contiguous", "seconds": 0.1},
    "schedule": {"total": 5, "step": 1, "progress": 0.2, "augment_until": 1.0, "plain_from": 9},
    "state_dict": {"weight": torch.ones(2)},
    "optimizer_states": [],
    "loops": {},
    "callbacks": {},
}


def test_between_the_two_renames_the_previous_one_is_taken(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "previous.ckpt")
    assert has_checkpoint(tmp_path)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[0] == tmp_path / "previous.ckpt"
    assert found[1]["schedule"]["step"] == 1


def test_an_unreadable_checkpoint_is_skipped_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(CONTENT, tmp_path / "previous.ckpt")
    (tmp_path / "last.ckpt").write_bytes(b"half")
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[0].name == "previous.ckpt"
    assert (tmp_path / "last.ckpt").read_bytes() == b"half"
    assert "last.ckpt cannot be read and is not used: it was cut short" in caplog.text


def packed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "cut short"),
    "text": (lambda path: path.write_text("hello"), "cut short"),
    "zip of something else": (lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"), ""),
    "packed": (packed, "it unpacks to more than its size"),
    "an object": (lambda path: torch.save(Path("x"), path), "Weights only load failed"),
    "a list": (lambda path: torch.save([1, 2], path), "it is not a checkpoint of a training"),
    "weights of another program": (
        lambda path: torch.save({"state_dict": {}}, path),
        "it is not a checkpoint of segkit",
    ),
    "a key is missing": (
        lambda path: torch.save({**CONTENT, "schedule": {}}, path),
        "missing 1 required positional argument: 'total'",
    ),
    "a precision that is unknown": (
        lambda path: torch.save(
            {**CONTENT, "mode": {"precision": "float8", "layout": "contiguous"}}, path
        ),
        "unknown precision float8 or memory format contiguous",
    ),
    "steps that cannot be": (
        lambda path: torch.save({**CONTENT, "schedule": {"total": 1, "step": 9}}, path),
        "are not possible",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_named(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write, message = FOREIGN[name]
    write(tmp_path / "last.ckpt")
    assert newest_checkpoint(tmp_path) is None
    assert "last.ckpt cannot be read and is not used: " in caplog.text
    assert message in caplog.text


def test_a_changed_byte_of_a_tensor_is_noticed(tmp_path: Path) -> None:
    torch.save(
        {**CONTENT, "state_dict": {"weight": torch.full((1000,), 7.0)}}, tmp_path / "last.ckpt"
    )
    content = bytearray((tmp_path / "last.ckpt").read_bytes())
    content[content.index(torch.full((9,), 7.0).numpy().tobytes()) + 5] ^= 1
    (tmp_path / "last.ckpt").write_bytes(content)
    assert newest_checkpoint(tmp_path) is None


def test_an_empty_folder_has_nothing_to_lose(tmp_path: Path) -> None:
    check_nothing_lost(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "bundle/weights").mkdir(parents=True)
    check_nothing_lost(tmp_path)


def test_a_model_without_a_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/bundle.json").touch()
    with pytest.raises(
        InputError, match=rf"found none\. The model in .* start from it with weights={tmp_path} and"
    ):
        check_nothing_lost(tmp_path)


def test_a_run_killed_before_its_first_checkpoint_starts_from_scratch(
    tmp_path: Path,
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.announce()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/bundle.json").touch()
    check_nothing_lost(tmp_path)
    (tmp_path / "checkpoints/last.ckpt").touch()
    with pytest.raises(InputError, match="found none that can be read"):
        check_nothing_lost(tmp_path)


def test_damaged_checkpoints_without_a_model_are_reported(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").touch()
    with pytest.raises(
        InputError, match=r"found none that can be read\. Train from scratch with another run_dir"
    ):
        check_nothing_lost(tmp_path)
