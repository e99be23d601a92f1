"""A small study on a phantom: masks, starts, tables and report, also after a stop."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

import segkit
from segkit.bundle.bundle import read_bundle
from segkit.cli import main
from segkit.dataset.layouts import read_dataset
from segkit.networks.mask_file import MaskOrigin, read_mask
from segkit.networks.masks import kept_and_total, layer_counts
from segkit.studies.tickets.files import TicketFiles
from segkit.studies.tickets.levels import Training
from segkit.studies.tickets.starts import fewer_at_random
from segkit.training.outputs.rewind import read_rewind
from tests.small_training import SMALL
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

STUDY = ["study", "tickets"]
TRAINING = (
    *SMALL,
    "trainer.max_steps=3",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
)
LEVELS = (
    "study.norms=[batch]",
    "study.seeds=[4]",
    "study.levels=2",
    "study.fraction=0.3",
    "study.control_levels=[2]",
    "study.rewind=0.4",
)
SEED = Path("study/batch/seed_4")


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a finished study in ``study``."""
    return run_once([*STUDY, str(phantom), "run_dir=study", *TRAINING, *LEVELS])


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def state(cell: Path) -> Mapping[str, Tensor]:
    model = read_bundle(cell / "run")
    return model.state(model.folds[0])


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "study" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_level_prunes_three_tenths_and_keeps_what_was_pruned(
    finished: Path, phantom: Path
) -> None:
    masks = [
        read_mask(finished / SEED / f"level_0{level}_ticket/mask.safetensors") for level in (1, 2)
    ]
    hash_ = read_dataset(phantom).content_hash()
    assert {mask.origin for mask in masks} == {MaskOrigin("phantom", hash_, 1)}
    total = kept_and_total(masks[0].masks)[1]
    kept = total - math.ceil(total * 3 / 10)
    assert kept_and_total(masks[0].masks)[0] == kept
    assert kept_and_total(masks[1].masks)[0] == kept - math.ceil(kept * 3 / 10)
    assert all(not (masks[1].masks[name] & ~mask).any() for name, mask in masks[0].masks.items())


@pytest.mark.parametrize("kind", ["ticket", "random", "reinit", "finetune"])
def test_masked_weights_are_zero_in_the_model(finished: Path, kind: str) -> None:
    cell = finished / SEED / f"level_02_{kind}"
    weights = state(cell)
    for name, mask in read_mask(cell / "mask.safetensors").masks.items():
        assert not weights[name][~mask].any()
        assert weights[name][mask].any()


def test_the_dense_network_is_that_of_an_ordinary_training(
    finished: Path, phantom: Path, tmp_path: Path
) -> None:
    words = (f"run_dir={tmp_path / 'run'}", "network.norm=batch", "seed=4")
    segkit.train(f"dataset={phantom}", *words, *TRAINING)
    expected, found = state(tmp_path), state(finished / SEED / "level_00_ticket")
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_tickets_and_random_masks_are_rewound_to_the_dense_training(finished: Path) -> None:
    dense = SEED / "level_00_ticket/run"
    assert read_rewind(finished / dense).step == 1  # 0.4 of three steps
    for kind in ("ticket", "random"):
        text = (finished / SEED / f"level_02_{kind}/run/config.yaml").read_text()
        assert yaml.safe_load(text)["rewind"] == str(dense)


def test_controls_start_from_new_or_from_trained_weights(finished: Path) -> None:
    new, trained = (
        read_rewind(finished / SEED / f"level_02_{kind}/start.safetensors")
        for kind in ("reinit", "finetune")
    )
    assert (new.step, trained.step) == (0, 1)
    before = state(finished / SEED / "level_01_ticket")
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.tensors.items())
    assert not any(
        torch.equal(new.tensors[name], before[name]) for name in new.tensors if "conv.w" in name
    )


def test_a_random_mask_has_as_many_weights_of_each_layer(finished: Path) -> None:
    ticket, random = (
        read_mask(finished / SEED / f"level_02_{kind}/mask.safetensors").masks
        for kind in ("ticket", "random")
    )
    assert set(layer_counts(ticket)) == set(layer_counts(random))
    assert any(not torch.equal(ticket[name], random[name]) for name in ticket)


def test_one_level_of_random_pruning_takes_weights_that_are_left(finished: Path) -> None:
    training = Training("batch", 4, "ticket", 2)
    files = TicketFiles(finished / "study")
    before, ticket = files.masks(training.ticket_of(1)), files.masks(training)
    fewer = fewer_at_random(ticket, training, files)
    assert set(layer_counts(fewer)) == set(layer_counts(ticket))
    assert not any((fewer[name] & ~mask).any() for name, mask in before.items())


def test_tables_are_tidy(finished: Path) -> None:
    rows = table(finished, "results")
    assert {row["measure"] for row in rows} == {
        "dice",
        "dice_pruned",
        "dice_pruned_recalibrated",
        "dice_pruned_at_random",
        "dice_one_shot",
        "dice_one_shot_recalibrated",
    }
    assert {row["kind"] for row in rows} == {"ticket", "random", "reinit", "finetune"}
    keys = [
        tuple(row[name] for name in ("kind", "level", "measure", "case", "label")) for row in rows
    ]
    assert len(keys) == len(set(keys))
    density = table(finished, "density")
    assert {row["level"] for row in density} == {"0", "1", "2"}
    assert all(float(row["density"]) == int(row["kept"]) / int(row["weights"]) for row in density)
    changes = {row["change"] for row in table(finished, "activations")}
    assert changes == {"pruned", "one_shot", "retrained"}


def test_the_report_answers_and_shows(finished: Path) -> None:
    summary = json.loads((finished / "study/summary.json").read_text(encoding="utf-8"))
    page = (finished / "study/report.html").read_text(encoding="utf-8")
    assert summary["failed"] == {}
    assert {entry["level"] for entry in summary["dice"]} == {0, 1, 2}
    assert {entry["confidence"] for entry in summary["dice"]} == {0.95}
    assert "6 of 6 trainings are finished. Norms: batch; seeds: 4; 2 levels of 30 %" in page
    assert all(answer["question"] in page for answer in summary["answers"])
    assert page.count("data:image/png;base64,") == 5
    names = ("tickets_and_controls", "norms", "after_pruning", "activations", "density")
    assert all((finished / f"study/{name}.svg").is_file() for name in names)
    assert not any((finished / SEED).glob("*/run/checkpoints"))


def test_the_reference_names_every_file_of_a_study(finished: Path) -> None:
    assert files_without_row(finished / "study", "Files of a tickets study") == []


def test_the_same_command_continues(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "study/results.csv").read_text()
    kept = (here / SEED / "level_01_ticket/run/training.csv").stat().st_mtime_ns
    (here / "study/cells/batch/seed_4/level_02_ticket.json").unlink()
    shutil.rmtree(here / SEED / "level_02_ticket")
    (here / "study/finished.json").unlink()
    assert main([*STUDY, str(phantom), "run_dir=study", *TRAINING, *LEVELS]) == 0
    assert (here / "study/results.csv").read_text() == before
    assert (here / SEED / "level_01_ticket/run/training.csv").stat().st_mtime_ns == kept
    assert "5 of 6 cells are finished and are not run again" in capsys.readouterr().err


def test_a_study_with_a_failed_training_is_not_finished(here: Path, phantom: Path) -> None:
    failing = SEED / "level_02_finetune"
    shutil.rmtree(here / failing)
    (here / failing).write_text("a file where the folder should be")
    (here / "study/cells/batch/seed_4/level_02_finetune.json").unlink()
    assert main([*STUDY, str(phantom), "run_dir=study", *TRAINING, *LEVELS]) == 5
    assert not (here / "study/finished.json").exists()
    assert "Failed trainings" in (here / "study/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "seed: study.seeds sets the seeds; leave it out"),
        (["mask=m"], "mask: the study makes the masks; leave it out"),
        (["fold=all"], "fold=all leaves no case to measure Dice on"),
        (["compute=slurm"], "compute=slurm: a tickets study trains in this process"),
        (
            ["study.levels=2", "study.control_levels=[3]"],
            "study.control_levels has 3, but there are only levels up to study.levels=2",
        ),
        (["study.norms=[group_ws]"], "study.norms must be a list of different words such as"),
        (["study.level=3"], "Did you mean study.levels"),
        (["study.controls=some"], "or none, not some"),
    ],
)
def test_what_a_study_refuses(
    phantom: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*STUDY, str(phantom), *words]) == 2
    assert message in capsys.readouterr().err


def test_settings_are_shown(phantom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, str(phantom), "study.levels=4", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "study.levels=4\n" in shown
    assert "study.controls=[random,reinit,finetune]\n" in shown
