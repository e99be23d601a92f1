"""Settings with which a training is resumed, and what to type if it cannot be."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segkit.cli import main
from segkit.config.compose import load, to_yaml
from segkit.config.run_file import read_config
from segkit.errors import UsageError
from segkit.training.resume import resumed_config
from tests.small_training import SMALL

FIXED = ["trainer.precision=float32", "trainer.layout=contiguous"]
QUICK = ["trainer.max_steps=2", "trainer.threads=1", *FIXED]


@pytest.fixture(scope="module")
def finished(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in its default place, and the data."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(phantom, folder / "my data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert (
            main(["train", "dataset=my data", "seed=3", "dataset.labels={liver:1}", *SMALL, *QUICK])
            == 0
        )
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_of(here: Path) -> Path:
    (run,) = (path.parent for path in here.glob("runs/*/*/config.yaml"))
    return run.relative_to(here)


def begun(folder: Path, *overrides: str, end: str = "") -> None:
    (folder / "config.yaml").write_text(to_yaml(load([*overrides])))
    if end:
        (folder / end).touch()


@pytest.mark.parametrize(
    "word",
    [
        "trainer.save_memory=true",
        "trainer.workers=2",
        "trainer.threads=3",
        "trainer.checkpoint_minutes=1.5",
        "trainer.checkpoint_steps=9",
        "logger=tensorboard",
        "compute=cpu",
    ],
)
def test_neutral_settings_are_taken_over_and_logged(
    word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun(tmp_path, "seed=3")
    words = [word, f"run_dir={tmp_path}"]
    with caplog.at_level("INFO"):
        resumed = resumed_config(load(words), words)
    asked = load(["seed=3", *words])
    assert resumed == asked
    assert f"resumed with {word.replace('compute', 'compute.name')}, begun with " in caplog.text


@pytest.mark.parametrize(
    "word", ["seed=4", "trainer.loss=nnunet", "trainer.accumulate=2", "trainer.max_steps=1"]
)
def test_settings_that_change_the_result_are_refused(word: str, tmp_path: Path) -> None:
    begun(tmp_path, "seed=3", "trainer.max_steps=5")
    words = [word, f"run_dir={tmp_path}"]
    with pytest.raises(
        UsageError, match=r"was started with .*\. Give another run_dir, or leave the override out\."
    ):
        resumed_config(load(words), words)


def test_another_number_of_devices_is_refused(tmp_path: Path) -> None:
    begun(tmp_path, "compute=ddp", "compute.devices=2")
    words = ["compute=cpu", f"run_dir={tmp_path}"]
    with pytest.raises(UsageError, match=r"was started with compute\.name=ddp, not cpu"):
        resumed_config(load(words), words)


def test_a_longer_training_than_an_unfinished_run_is_explained(tmp_path: Path) -> None:
    begun(tmp_path, "dataset=d", "trainer.max_steps=5")
    words = ["trainer.max_steps=7", f"run_dir={tmp_path}"]
    with pytest.raises(
        UsageError,
        match=r"finish it with --resume\. To train longer, .*\n  segkit train dataset=d plan=",
    ):
        resumed_config(load(words), words)


def test_the_command_for_training_longer_works(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(here)
    assert main(["train", f"run_dir={run}", "trainer.max_steps=3"]) == 2
    err = capsys.readouterr().err
    assert (
        "was started with trainer.max_steps=2, not 3. It is finished. "
        "To train longer, start another run" in err
    )
    command = shlex.split(err.splitlines()[-1])
    assert command[:3] == ["segkit", "train", "dataset=my data"]
    assert {f"weights={run}", "seed=3", "dataset.labels={liver: 1}", "trainer.max_steps=3"} <= set(
        command
    )
    assert main(command[1:]) == 0
    longer = Path(f"{run}-longer")
    assert (longer / "finished.json").read_text() == '{"steps": 3}\n'
    assert (longer / "split.json").read_text() == (run / "split.json").read_text()
    assert "tensors loaded, not loaded: none" in capsys.readouterr().err


def test_a_longer_training_keeps_its_mask_and_does_not_rewind(tmp_path: Path) -> None:
    words = ["mask=file", "rewind=level_0", "trainer.rewind_step=1", "trainer.max_steps=5"]
    begun(tmp_path, "dataset=d", *words)
    given = ["trainer.max_steps=7", f"run_dir={tmp_path}"]
    with pytest.raises(UsageError, match="To train longer") as error:
        resumed_config(load(given), given)
    command = set(shlex.split(str(error.value).splitlines()[-1]))
    assert {f"mask={tmp_path}", f"weights={tmp_path}"} <= command
    assert not any("rewind" in word for word in command)


def test_a_run_in_its_default_folder_is_found_with_other_threads(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(here)
    (run / "finished.json").unlink()
    words = [
        "dataset=my data",
        "seed=3",
        "dataset.labels={liver:1}",
        *SMALL,
        *FIXED,
        "trainer.max_steps=2",
    ]
    assert (
        main(["train", *words, "trainer.threads=2", "trainer.checkpoint_minutes=7", "--resume"])
        == 0
    )
    assert (run / "finished.json").is_file()
    assert run_of(here) == run
    assert read_config(run / "config.yaml").trainer.threads == 2
    assert "begun with trainer.threads=1" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_folder_in_which_a_training_runs_is_refused(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = ["trainer.max_steps=100000", "trainer.threads=1"]
    words = ["train", f"dataset={phantom}", "run_dir=busy", *SMALL, *FIXED, *length]
    with subprocess.Popen(
        [sys.executable, "-m", "segkit", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            while "prepared cases are kept" not in process.stderr.readline():
                pass
            for arguments in (["train", "run_dir=busy", "--resume"], words):
                assert main(arguments) == 2
                assert f"busy is in use by process {process.pid} on " in capsys.readouterr().err
            assert Path("busy/split.json").is_file()
        finally:
            process.kill()
    assert (
        main(["train", "run_dir=busy", "--resume", "trainer.max_steps=9"]) == 2
    )  # it is free, and of another length
    assert "is in use" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_four_trainings_share_one_store(phantom: Path, tmp_path: Path) -> None:
    words = [f"dataset={phantom}", f"dataset.store={tmp_path / 'store'}", *SMALL, *QUICK]
    commands = [
        [sys.executable, "-m", "segkit", "train", *words, f"run_dir=run{n}", f"seed={n}"]
        for n in range(4)
    ]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    for process in processes:
        assert process.wait(300) == 0
    assert not list((tmp_path / "store").glob(".*"))
    assert len(list((tmp_path / "store").glob("*.safetensors"))) == 2
