"""However a training fails to start, what was in its folder stays as it was, byte for byte."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.errors import InputError
from segkit.training.outputs.failed_start import undo_failed_start
from tests.small_training import QUICK, SMALL

FullDisk = Callable[[int], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def trained(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was killed just before finished.json, and the data beside it."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(phantom, folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "dataset=data", "run_dir=run", *SMALL, *QUICK]) == 0
    (folder / "run/finished.json").unlink()
    return folder


def with_checkpoints(_run: Path) -> None:
    """A run that can be resumed."""


def without_checkpoints(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def with_damaged_checkpoints(run: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])


def with_own_files(run: Path) -> None:
    """A folder with other files and copies of config.yaml and plan.json."""
    for path in run.iterdir():
        if path.name not in ("config.yaml", "plan.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "notes").mkdir()
    (run / "notes/paper.txt").write_text("precious")
    (run / "checkpoints").mkdir()


def new(run: Path) -> None:
    shutil.rmtree(run)


FOLDERS = (with_checkpoints, without_checkpoints, with_damaged_checkpoints, with_own_files, new)


@contextmanager
def bad_scan(_full_disk: FullDisk) -> Iterator[None]:
    scan = next(Path("data/imagesTr").iterdir())
    scan.write_bytes(b"no scan")
    yield


@contextmanager
def unreadable_plan(_full_disk: FullDisk) -> Iterator[None]:
    if Path("run/plan.json").exists():
        Path("run/plan.json").write_text("{")
    else:
        Path("data/dataset.json").write_text("{")
    yield


def at_message(words: str, number: int) -> Callable[[FullDisk], AbstractContextManager[None]]:
    """Send this process a signal when the log says these words."""

    class Sender(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith(words):
                os.kill(os.getpid(), number)

    @contextmanager
    def sending(_full_disk: FullDisk) -> Iterator[None]:
        handler = Sender()
        logging.getLogger("segkit").addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger("segkit").removeHandler(handler)

    return sending


WAYS: dict[str, Callable[[FullDisk], AbstractContextManager[None]]] = {
    "bad scan": bad_scan,
    "unreadable plan": unreadable_plan,
    "Ctrl-C": at_message("prepared cases are kept", signal.SIGINT),
    "SIGTERM": at_message("mirroring", signal.SIGTERM),
    "a disk that is full at once": lambda full_disk: full_disk(0),
    "a disk that is full at the plan": lambda full_disk: full_disk(1500),
}


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and the folders."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of file size are POSIX")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prepare", FOLDERS)
def test_nothing_is_changed_by_a_start_that_fails(
    prepare: Callable[[Path], None],
    way: str,
    trained: Path,
    tmp_path: Path,
    full_disk: FullDisk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    prepare(Path("run"))
    with ExitStack() as failing:
        # The disk is filled last, everything else is as the training finds it.
        failing.enter_context(WAYS[way](full_disk))
        before = content(Path("run"))
        code = main(["train", "dataset=data", "run_dir=run", *SMALL, *QUICK, "--resume"])
    after = content(Path("run"))
    if log := before.get("run/train.log"):  # says why the start failed
        assert (after.pop("run/train.log") or b"").startswith(before.pop("run/train.log") or log)
    assert after == before
    assert Path("run").exists() is (prepare is not new)
    err = capsys.readouterr().err
    assert code in (2, 3, 128 + signal.SIGINT, 128 + signal.SIGTERM), err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "name", ["config.yaml", "plan.json", "split.json", "weights.json", "training.csv"]
)
@pytest.mark.parametrize("damage", [b"", b"[" * 100_000])
def test_a_damaged_file_of_a_run_is_named(
    name: str,
    damage: bytes,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    Path("run", name).write_bytes(damage)
    longer_schedule(Path("run/checkpoints/last.ckpt"))
    code = main(["train", "dataset=data", "run_dir=run", *SMALL, *QUICK, "--resume"])
    err = capsys.readouterr().err
    assert code == 3 or (code == 0 and name == "training.csv"), (
        err
    )  # a table without rows is a table
    assert code == 0 or f"run/{name}: expected " in err
    assert "Traceback" not in err
    assert Path("run", name).read_bytes() == damage or code == 0


def longer_schedule(checkpoint: Path) -> None:
    """Let a finished run have one step to do."""
    content = torch.load(checkpoint, weights_only=True)
    content["schedule"]["total"] += 1
    torch.save(content, checkpoint)


def test_a_full_disk_at_the_last_write_keeps_the_model(
    trained: Path, tmp_path: Path, full_disk: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    files = [path.stat().st_size for path in Path("run/bundle").rglob("*") if path.is_file()]
    between = (max(files) + Path("run/checkpoints/last.ckpt").stat().st_size) // 2
    with full_disk(between):
        assert main(["train", "dataset=data", "run_dir=other", *SMALL, *QUICK]) == 3
    assert not Path("other/checkpoints/last.ckpt").exists()
    assert Path("other/config.yaml").is_file()
    assert read_bundle("other").networks()
    assert not list(Path("other").rglob(".*"))
    assert main(["train", "run_dir=other", "--resume"]) == 0  # when there is room again
    assert sorted(path.name for path in Path("other/checkpoints").iterdir()) == ["last.ckpt"]


def test_a_full_disk_leaves_the_old_bundle_whole(
    trained: Path, tmp_path: Path, full_disk: FullDisk
) -> None:
    shutil.copytree(trained / "run/bundle", tmp_path / "bundle")
    before, bundle = content(tmp_path), read_bundle(tmp_path / "bundle")
    weights = max(path.stat().st_size for path in (tmp_path / "bundle/weights").iterdir())
    states = {"0": {name: tensor + 1 for name, tensor in bundle.state("0").items()}}
    with (
        full_disk(weights - 1),
        pytest.raises(InputError, match="expected a place that can be written to"),
    ):
        write_bundle(tmp_path / "bundle", bundle.plan, bundle.card, states, {"another": "config"})
    assert content(tmp_path) == before


def test_only_files_of_the_start_are_restored(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text("old")

    def fail() -> None:
        with undo_failed_start(run):
            (run / "plan.json").write_text("new")
            (run / "split.json").write_text("new")
            (run / "bundle/weights").mkdir(parents=True)
            (run / "mine.txt").write_text("of the user, meanwhile")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert content(run) == {
        str(run / "mine.txt"): b"of the user, meanwhile",
        str(run / "plan.json"): b"old",
    }


def test_all_files_stay_beside_a_model(tmp_path: Path) -> None:
    def fail() -> None:
        with undo_failed_start(tmp_path):
            (tmp_path / "config.yaml").touch()
            (tmp_path / "bundle").mkdir()
            (tmp_path / "bundle/bundle.json").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "config.yaml").is_file()


def test_a_rewind_file_that_was_there_stays(tmp_path: Path) -> None:
    """Its earlier bytes, as many as the model has, are not kept until the training ends."""

    def fail(run: Path) -> None:
        with undo_failed_start(run):
            (run / "rewind.safetensors").write_text("the same weights")
            raise InputError(run, expected="x", found="y", remedy="z")

    for name in ("resumed", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "resumed/rewind.safetensors").write_text("weights")
    for name in ("resumed", "new"):
        with pytest.raises(InputError, match="expected x"):
            fail(tmp_path / name)
    assert (tmp_path / "resumed/rewind.safetensors").read_text() == "the same weights"
    assert not (tmp_path / "new/rewind.safetensors").exists()
