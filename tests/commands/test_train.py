"""The command segkit train, with two phantom cases and two steps."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from segkit.cli import main
from segkit.config.run_file import read_config
from segkit.dataset.phantom import write_phantom
from tools.reference import files_without_row

SMALL = ["network.features=[4,8]", "plan.patch=[16,16,16]", "plan.spacing=[4,4,4]"]
QUICK = [
    "trainer.max_steps=2",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.validations=1",
]


@pytest.fixture(scope="module")
def finished(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run in ``run``."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", f"dataset={phantom}", "run_dir=run", *SMALL, *QUICK]) == 0
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a copy of the finished run in ``run``."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_folder_holds_what_the_documentation_says(finished: Path) -> None:
    names = {path.name for path in (finished / "run").iterdir()}
    assert {
        "config.yaml",
        "plan.json",
        "training.csv",
        "progress.png",
        "checkpoints",
        "bundle",
        "train.log",
    } <= names
    said = (finished / "run" / "train.log").read_text()
    assert "1 cases train, 1 validate; the run is in run\n" in said
    assert "step 2 of 2, loss" in said
    assert "over 1 case, done\n" in said
    assert read_config(finished / "run" / "config.yaml").network.features == [4, 8]
    assert (finished / "runs" / "latest").read_text() == "../run\n"


def test_the_reference_names_every_file_of_a_run(finished: Path) -> None:
    assert files_without_row(finished / "run", "Files of a run") == []
    unnamed = files_without_row(finished, "Files of a run")
    assert [file for file in unnamed if file.startswith("prepared/")] == []


def test_default_place_and_what_is_printed(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", f"dataset={phantom}", "fold=all", *SMALL, *QUICK]
    assert main(words) == 0
    latest = (tmp_path / "runs" / "latest").read_text().strip()
    assert latest.startswith("phantom/unet-")
    printed = capsys.readouterr()
    assert f"2 cases train, 0 validate; the run is in runs/{latest}\n" in printed.err
    assert f"runs/{latest}/bundle" in printed.out
    assert main(words) == 0
    assert (
        f"The training in runs/{latest} is finished and is not run again."
        in capsys.readouterr().err
    )


def test_runs_share_one_store_and_a_resumed_run_may_move_it(phantom: Path, here: Path) -> None:
    words = ["train", f"dataset={phantom}", *SMALL, *QUICK]
    before = sorted(path.name for path in (here / "prepared").iterdir())
    assert len(before) == 4  # two cases, what was measured, the tag
    assert main([*words, "run_dir=other", "seed=1", "network.convs=1"]) == 0
    assert sorted(path.name for path in (here / "prepared").iterdir()) == before
    (here / "run" / "finished.json").unlink()
    assert main(["train", "run_dir=run", "--resume", "dataset.store=a b/c"]) == 0
    assert {path.name for path in (here / "a b/c").iterdir()} == set(before)
    assert read_config(here / "run" / "config.yaml").dataset.store == "a b/c"


def test_a_finished_run_is_not_run_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (here / "run" / "bundle" / "bundle.json").stat().st_mtime_ns
    assert main(["train", "run_dir=run"]) == 0
    assert "The training in run is finished and is not run again." in capsys.readouterr().err
    assert (here / "run" / "bundle" / "bundle.json").stat().st_mtime_ns == before


def test_an_unfinished_run_needs_resume(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run" / "finished.json").unlink()
    assert main(["train", f"dataset={phantom}", "run_dir=run"]) == 2
    assert (
        "segkit: error: the training in run is unfinished. Continue it with --resume"
        in capsys.readouterr().err
    )
    assert main(["train", "run_dir=run", "--resume"]) == 0
    assert (here / "run" / "finished.json").is_file()


def test_a_run_killed_before_its_first_checkpoint_starts_from_its_weights_again(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train",
        f"dataset={phantom}",
        "weights=run",
        "plan=run/plan.json",
        "run_dir=second",
        *QUICK,
    ]
    assert main(words) == 0
    (here / "second/finished.json").unlink()
    shutil.rmtree(here / "second/bundle")  # which is written just before the first checkpoint
    for path in (here / "second/checkpoints").iterdir():
        path.unlink()  # the folder was made, and nothing in it was completed
    capsys.readouterr()
    assert main([*words, "--resume"]) == 0
    assert "tensors loaded, not loaded: none" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_other_cases(
    here: Path, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_phantom(tmp_path / "other", 4)
    (here / "run" / "finished.json").unlink()
    before = (here / "run" / "config.yaml").read_bytes()
    assert main(["train", f"dataset={other}", "run_dir=run", "--resume"]) == 3
    assert (
        "split.json: expected the cases with which this run began, found other cases"
        in capsys.readouterr().err
    )
    assert (here / "run" / "config.yaml").read_bytes() == before
    assert main(["train", f"dataset={phantom}", "run_dir=run", "--resume"]) == 0


def test_what_the_planner_decided_may_be_asked_for_again(here: Path) -> None:
    assert main(["train", "run_dir=run", "trainer.batch_size=auto", "--resume"]) == 0


def test_resume_without_anything_to_go_on_with_is_said(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"dataset={phantom}", f"run_dir={tmp_path / 'other'}", *SMALL, *QUICK]
    assert main(["train", *words, "--resume"]) == 0
    assert (
        f"warning: no checkpoint in {tmp_path / 'other'}: training starts from scratch"
        in capsys.readouterr().err
    )


def test_resume_without_a_run_asks_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume"]) == 2
    assert (
        "which run? Give run_dir=PATH, the folder of the run, or the overrides"
        in capsys.readouterr().err
    )


def test_a_run_is_not_mixed_with_other_overrides(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "run_dir=run", "seed=5"]) == 2
    assert (
        "the training in run was started with seed=0, not 5. Give another run_dir"
        in capsys.readouterr().err
    )


def test_a_folder_with_other_files_is_not_a_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "plan.json").write_text("mine")
    assert main(["train", "dataset=x", "run_dir=mine"]) == 2
    assert "run_dir=mine holds something other than a training" in capsys.readouterr().err
    assert (here / "mine" / "plan.json").read_text() == "mine"


def test_an_edited_plan_and_weights_are_taken(here: Path, phantom: Path) -> None:
    plan = json.loads((here / "run" / "plan.json").read_text())
    (here / "edited.json").write_text(json.dumps({**plan, "batch_size": 1}))
    shutil.copytree(here / "run", here / "models" / "known")
    words = [
        "plan=edited.json",
        "weights=known",
        "run_dir=second",
    ]  # a name in the folder of models
    assert main(["train", f"dataset={phantom}", *words, *QUICK]) == 0
    assert json.loads((here / "second" / "plan.json").read_text())["batch_size"] == 1
    assert read_config(here / "second" / "config.yaml").trainer.batch_size == 1


def test_fine_tuning_follows_the_model(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"dataset={phantom}", "dataset.labels={liver:1,kidneys:2}", "weights=run"]
    assert main(["train", *words, "run_dir=tuned", *QUICK]) == 0
    err = capsys.readouterr().err
    assert "spacing: As in the model to start from." in err
    assert "labels of the model: liver; new labels: kidneys; new channels: none" in err
    before, after = (json.loads((here / run / "plan.json").read_text()) for run in ("run", "tuned"))
    assert all(after[key] == before[key] for key in ("spacing", "patch", "channels", "network"))
    assert main(["plan", str(phantom), *words[1:], "-o", "tuned.json"]) == 0
    assert json.loads((here / "tuned.json").read_text()) == after


@pytest.mark.parametrize(
    ("word", "code", "message"),
    [
        (
            "network.features=[8,16]",
            3,
            "run/bundle: expected a model with network.features=[8,16] to start from",
        ),
        ("plan.memory=1GB", 2, "plan.memory changes nothing with weights"),
    ],
)
def test_fine_tuning_another_network_is_refused(
    word: str,
    code: int,
    message: str,
    here: Path,
    phantom: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", f"dataset={phantom}", "weights=run", "run_dir=tuned", word]) == code
    assert message in capsys.readouterr().err
    assert not (here / "tuned").exists()


def test_any_path_is_taken_as_typed(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path("räume, a=b (1) [x] {y} $z 'q'")
    shutil.copytree(phantom, here / odd / "data")
    shutil.copytree(here / "run", here / odd / "old run")
    words = [
        f"dataset={odd}/data",
        f"plan={odd}/old run/plan.json",
        f"weights={odd}/old run",
        f"run_dir={odd}/new",
    ]
    assert main(["train", *words, *QUICK]) == 0
    printed = capsys.readouterr()
    assert "tensors loaded, not loaded: none; labels of the model: liver, " in printed.err
    assert shlex.split(printed.out.splitlines()[-1])[-1] == f"{odd}/new"
    (here / odd / "new" / "finished.json").unlink()
    shutil.rmtree(here / odd / "old run")
    assert main(["train", *words, *QUICK, "--resume"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["network=residual_unet"],
        ["network=monai_segresnet"],
        ["network=monai_dynunet", "network.features=[4,8,8]"],
        ["network.dims=2", "network.norm=batch", "trainer.batch_size=1"],
        ["network.norm=none", "trainer.optimizer=sgd", "trainer.precision=bfloat16"],
        [
            "network.norm=layer",
            "trainer.optimizer=adamw",
            "trainer.layout=channels_last",
            "augment.mirror=none",
        ],
    ],
)
def test_choices_train(
    words: list[str], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(["train", f"dataset={phantom}", "run_dir=run", *together(*SMALL, *QUICK, *words)]) == 0
    )
    assert json.loads(Path("run/finished.json").read_text()) == {"steps": 2}


def together(*words: str) -> list[str]:
    """Return the words, only the last of those with the same key."""
    return [f"{key}={value}" for key, value in dict(word.split("=", 1) for word in words).items()]


def test_a_plan_of_other_labels_is_refused(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = json.loads((here / "run" / "plan.json").read_text())
    (here / "other.json").write_text(json.dumps({**plan, "labels": {"spleen": 1}}))
    assert main(["train", f"dataset={phantom}", "plan=other.json", "run_dir=second"]) == 3
    assert "other.json: expected the dataset's labels liver=1, " in capsys.readouterr().err
    assert not (here / "second").exists()


@pytest.mark.parametrize("key", ["trainer.save_memory=true", "trainer.lowest_head=false"])
def test_a_key_that_a_planned_network_does_not_read_is_refused(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    plan = json.loads((here / "run" / "plan.json").read_text())
    plan["network"]["name"] = "monai_segresnet"
    (here / "monai.json").write_text(json.dumps(plan))
    assert main(["train", f"dataset={phantom}", "plan=monai.json", "run_dir=second", key]) == 2
    name = key.partition("=")[0]
    assert (
        f"{name} changes nothing with network=monai_segresnet, only with unet or"
        in capsys.readouterr().err
    )
    assert not (here / "second").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no dataset is given. Give dataset=PATH"),
        (["dataset=nowhere"], 3, "nowhere: expected"),
        (["network.nrom=batch"], 2, "unknown override 'network.nrom'. Did you mean network.norm"),
        (
            ["dataset={phantom}", "fold=9"],
            2,
            "fold=9: this dataset has the folds 0 to 1, or fold=all",
        ),
        (
            ["dataset={phantom}", "weights=nowhere", *SMALL, *QUICK],
            3,
            "nowhere: expected a model: a bundle",
        ),
        (["dataset={phantom}", "plan=nowhere.json"], 3, "nowhere.json: expected a plan as JSON"),
        (
            ["dataset={phantom}", *SMALL, "network.num_groups=3"],
            2,
            "network.num_groups=3 does not divide its 4 channels",
        ),
        (
            ["dataset={phantom}", *SMALL, "trainer.precision=float16", "compute=cpu"],
            2,
            "float16 needs a GPU",
        ),
        (
            ["dataset={phantom}", *SMALL, "network=monai_dynunet"],
            2,
            "network=monai_dynunet needs 3 stages or more",
        ),
    ],
)
def test_refused(
    words: list[str],
    code: int,
    message: str,
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *(word.replace("{phantom}", str(phantom)) for word in words)]) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    # What was measured may stay, for the next try.
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "prepared"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_before_anything_is_measured(
    phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"dataset={phantom}", "compute=gpu"]) == 2
    printed = capsys.readouterr().err
    assert "compute=gpu: PyTorch sees no CUDA device here. Use compute=cpu" in printed
    assert "measuring" not in printed


def test_nothing_is_left_of_a_run_that_could_not_start(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(phantom, here / "broken")
    for label in (here / "broken" / "labelsTr").iterdir():
        label.write_bytes(label.read_bytes()[:500])
    assert main(["train", "dataset=broken", "plan=run/plan.json", "run_dir=second"]) == 3
    assert "labelsTr" in capsys.readouterr().err
    assert not (here / "second").exists()


def test_no_case_left_to_train_on(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = json.loads((phantom / "dataset.json").read_text())
    shutil.copytree(phantom, tmp_path / "one")
    (tmp_path / "one" / "dataset.json").write_text(
        json.dumps({**description, "training": description["training"][:1], "numTraining": 1})
    )
    assert main(["train", f"dataset={tmp_path / 'one'}"]) == 3
    assert "train on all of them with fold=all" in capsys.readouterr().err


def test_show_prints_the_composed_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "network=residual_unet", "--show", "fold=all"]) == 0
    out = capsys.readouterr().out
    assert "name: residual_unet" in out
    assert "fold: all" in out


def test_dataset_is_a_word_of_its_own(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"{phantom}", *SMALL, *QUICK, "run_dir=run"]) == 0
    assert "The training in run is finished and is not run again." in capsys.readouterr().err


def test_the_configuration_of_a_run_starts_the_same_training_again(
    here: Path, phantom: Path
) -> None:
    assert main(["train", "--config", "run/config.yaml", "run_dir=again"]) == 0
    for name in ("plan.json", "split.json"):
        assert (here / "again" / name).read_bytes() == (here / "run" / name).read_bytes()
    first, again = (read_config(here / name / "config.yaml") for name in ("run", "again"))
    assert again == dataclasses.replace(
        first, run_dir="again", plan=dataclasses.replace(first.plan, file="run/plan.json")
    )
    assert weights_of(here / "again") == weights_of(here / "run")


def weights_of(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((run / "bundle" / "weights").iterdir())]


def test_the_default_folder_is_that_of_the_run_that_the_configuration_is_from(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # A memory for which one patch of a batch of two is smaller than one of a batch of one.
    words = ["network.features=[4,8]", "plan.memory=2MB", "plan.spacing=[4,4,4]", *QUICK]
    assert main(["train", str(phantom), *words]) == 0
    (config,) = Path("runs/phantom").glob("*/config.yaml")
    assert main(["train", "--config", str(config)]) == 0
    assert (
        f"The training in {config.parent} is finished and is not run again."
        in capsys.readouterr().err
    )
    assert main(["train", "--config", str(config), "seed=3"]) == 0
    assert len({path.read_bytes() for path in Path("runs/phantom").glob("*/plan.json")}) == 1
    assert len(list(Path("runs/phantom").glob("*/plan.json"))) == 2


def test_a_file_holds_differences_and_the_command_line_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yaml").write_text(
        "preset: nnunet\ntrainer:\n  max_minutes: 60\n  learning_rate: 1e-3\nseed: 4\n"
    )
    assert (
        main(
            [
                "train",
                "scans",
                "--config",
                str(tmp_path / "my.yaml"),
                "trainer.max_steps=7",
                "--show",
            ]
        )
        == 0
    )
    shown = yaml.safe_load(capsys.readouterr().out)
    trainer = shown["trainer"]
    assert (shown["dataset"]["path"], shown["seed"], trainer["optimizer"]) == ("scans", 4, "sgd")
    assert (trainer["max_steps"], trainer["max_minutes"], trainer["learning_rate"]) == (
        7,
        None,
        0.001,
    )


def test_help_lists_overrides_with_meaning_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "'dataset.labels={spleen:1,liver:5}'  names of the labels" in out
    assert "trainer.precision=auto" in out
    assert not [line for line in out.splitlines() if line.endswith((" one of", "="))]
