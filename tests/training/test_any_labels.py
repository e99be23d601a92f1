"""Training with regions, voxels without annotation, many labels and dropped channels."""

from __future__ import annotations

import csv
import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.cli import main
from segkit.config.compose import load
from segkit.config.loss_catalogue import LOSSES, losses_of_regions
from segkit.config.schema import AugmentConfig, NetworkConfig, PlanConfig, TrainerConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.errors import UsageError
from segkit.fingerprint.fingerprint import measure
from segkit.io import read_labels, write_image, write_labels
from segkit.networks.precision import ComputeMode
from segkit.planning.plan_dataset import open_dataset
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.training.data.augment_intensity import augment_intensity, drop_channel_
from segkit.training.data.patches import PatchRules, draw_center, stream
from segkit.training.optimization.cuda_graph import TrainingLoss
from segkit.training.optimization.losses import (
    build_loss,
    loss_by_name,
    region_loss_by_name,
)
from segkit.training.validation import dice_per_label
from segkit.volume import Volume

REGIONS = {"both": (3, 7), "high": (7,)}
TABLE = [[False, True, True], [False, False, True]]
SHORT = [
    "compute=cpu",
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "trainer.precision=float32",
]
FIXED = ["trainer.layout=contiguous", "trainer.threads=1", "trainer.validations=1"]


@pytest.fixture(scope="module")
def regions_plan(balls: Dataset) -> Plan:
    data = read_dataset(balls.root, regions=REGIONS)
    return make_plan(measure(data), data, NetworkConfig(features=[4, 8]), PlanConfig(), 1)


# -- losses --

EVERY_LOSS = {
    **{name: partial(loss_by_name, name) for name in LOSSES},
    **{
        f"{name} of regions": partial(region_loss_by_name, name, TABLE)
        for name in losses_of_regions()
    },
}


def scores_of(name: str, classes: int = 3) -> torch.Tensor:
    channels = 2 if "regions" in name else classes
    return torch.randn(
        2, channels, 4, 4, 4, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()


def test_a_loss_without_support_for_regions_is_refused_before_measuring(
    balls: Dataset,
) -> None:
    with pytest.raises(
        UsageError,
        match=r"trainer\.loss=nnunet cannot train regions: give trainer.loss=, one of dice_ce",
    ):
        open_dataset(
            load(
                [
                    f"dataset={balls.root}",
                    "dataset.regions={both:[3,7],high:7}",
                    "trainer.loss=nnunet",
                ]
            )
        )


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_voxels_without_annotation_have_a_gradient_of_exactly_zero(name: str) -> None:
    scores, labels = (
        scores_of(name),
        torch.randint(0, 3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(1)),
    )
    labels[:, 1:] = 3
    EVERY_LOSS[name]()(scores, labels).backward()
    assert scores.grad[:, :, 1:].abs().max() == 0
    assert scores.grad[:, :, 0].abs().min() > 0


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_the_loss_depends_on_annotated_voxels_only(name: str) -> None:
    scores, labels = (
        scores_of(name),
        torch.randint(0, 3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(1)),
    )
    alone = EVERY_LOSS[name]()(scores[:, :, :2], labels[:, :2])
    labels[:, 2:] = 3
    assert EVERY_LOSS[name]()(scores, labels).item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_a_patch_without_annotation_has_a_loss_and_a_gradient_of_zero(name: str) -> None:
    scores = scores_of(name)
    loss = EVERY_LOSS[name]()(scores, torch.full((2, 4, 4, 4), 3))
    loss.backward()
    assert loss == 0
    assert scores.grad.abs().max() == 0


def test_deep_supervision_keeps_the_annotation_at_every_resolution(regions_plan: Plan) -> None:
    scores = [scores_of("regions"), torch.randn(2, 2, 2, 2, 2).requires_grad_()]
    labels = torch.full((2, 4, 4, 4), 3)
    labels[:, :2] = 2
    build_loss(TrainerConfig(), regions_plan)(scores, labels).backward()
    assert [level.grad[:, :, level.shape[2] // 2 :].abs().max().item() for level in scores] == [
        0,
        0,
    ]
    assert all(level.grad[:, :, 0].abs().min() > 0 for level in scores)


def test_the_loss_of_regions_by_hand() -> None:
    # Probabilities of 1/2 on two voxels: one is in the first region, none in the second.
    scores, labels = torch.zeros(1, 2, 2, 1), torch.tensor([[[1], [0]]])
    dice, cross_entropy = 1 - 2 * 0.5 / (1 + 1), np.log(2)
    assert region_loss_by_name("dice", TABLE)(scores, labels).item() == pytest.approx(
        dice, abs=1e-4
    )
    assert region_loss_by_name("ce", TABLE)(scores, labels).item() == pytest.approx(
        cross_entropy, abs=1e-4
    )
    assert region_loss_by_name("dice_ce", TABLE)(scores, labels).item() == pytest.approx(
        dice + cross_entropy, abs=1e-4
    )


# -- patches --


def sparse(folder: Path, root: Path) -> Dataset:
    """The balls with every voxel but those of the planes z = 5 and 11 unknown (9)."""
    for path in sorted((root / "labelsTr").iterdir()):
        labels = read_labels(path)
        array = np.full_like(labels.array, 9)
        array[..., [5, 11]] = labels.array[..., [5, 11]]
        write_labels(folder / "labelsTr" / path.name, labels.with_array(array))
    content = json.loads((root / "dataset.json").read_text())
    content["labels"]["9"] = "ignore"
    for pair in content["training"]:
        pair["image"] = str(root / pair["image"])
    (folder / "dataset.json").write_text(json.dumps(content))
    return read_dataset(folder)


@pytest.fixture(scope="module")
def sparse_balls(balls: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return sparse(tmp_path_factory.mktemp("sparse"), balls.root)


def test_every_patch_is_centered_on_an_annotated_voxel(
    sparse_balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    plan = dataclasses.replace(plan_for_balls, ignore=9, patch=(4, 4, 2))
    cases = prepare_cases(sparse_balls.cases, sparse_balls, plan, tmp_path)
    rules = PatchRules(plan, AugmentConfig(), 0, 0.5)
    drawn = [(case, draw_center(case, rules, stream(0, n, 0))) for case in cases for n in range(25)]
    assert {int(center[2]) for _, center in drawn} == {5, 11}
    # At the scan's edge a patch is shifted inwards.
    values = [case.labels[tuple(center)] for case, center in drawn]
    assert max(values) <= 2
    assert 0.3 < np.mean([value > 0 for value in values]) < 0.8


def test_without_an_ignore_label_background_needs_no_positions(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
):
    assert set(prepare_cases(balls.cases, balls, plan_for_balls, tmp_path)[0].voxels) == {1, 2}


def test_labels_without_annotated_background_are_drawn_from(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, ignore=9, patch=(2, 2, 2))
    labels = np.full((6, 6, 6), 3, np.uint8)
    case = PreparedCase(
        "a", np.zeros((1, 6, 6, 6), np.float32), labels, {2: np.array([[4, 2, 3]], np.int32)}
    )
    centers = [
        draw_center(case, PatchRules(plan, AugmentConfig(), 0, 0.5), stream(0, n, 0))
        for n in range(8)
    ]
    assert {tuple(center.tolist()) for center in centers} == {(4, 2, 3)}


def test_a_dropped_channel_is_zero_and_the_others_are_not_touched() -> None:
    image = torch.randn(3, 4, 4, 4)
    dropped = [
        int((drop_channel_(image.clone(), stream(0, 0, n)) != image).any(dim=(1, 2, 3)).nonzero())
        for n in range(60)
    ]
    assert {dropped.count(channel) > 10 for channel in range(3)} == {True}
    result = drop_channel_(image.clone(), stream(0, 0, 0))
    assert result[dropped[0]].abs().max() == 0


def test_a_channel_is_dropped_at_the_given_rate_and_stays_zero() -> None:
    augment = AugmentConfig(channel_dropout=0.25, noise=1.0, gamma=1.0)
    image = torch.randn(2, 4, 4, 4)
    results = [augment_intensity(image.clone(), augment, None, stream(0, 0, n)) for n in range(400)]
    missing = [[bool((channel == 0).all()) for channel in result] for result in results]
    assert 0.19 < np.mean([any(channels) for channels in missing]) < 0.31
    assert not any(all(channels) for channels in missing)


# -- validation --


def test_dice_of_regions_by_hand(regions_plan: Plan) -> None:
    reference = torch.tensor([0, 1, 2, 2]).reshape(4, 1, 1)
    scores = torch.tensor([[-1.0, 2, -1, 3], [-1, -1, -1, 1]]).reshape(2, 4, 1, 1)
    # both: predicted 2 of the 3 voxels; high: 1 of 2.
    assert dice_per_label(scores, reference, regions_plan).tolist() == pytest.approx([4 / 5, 2 / 3])


def test_dice_counts_annotated_voxels_only(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, ignore=9)
    reference = torch.tensor([1, 1, 3, 3]).reshape(4, 1, 1)
    scores = (
        torch.nn.functional.one_hot(torch.tensor([1, 0, 1, 2]), 3).T.float().reshape(3, 4, 1, 1)
    )
    dice = dice_per_label(scores, reference, plan)
    assert dice[0].item() == pytest.approx(2 / 3)
    assert dice[1].isnan()


# -- whole trainings --


def columns(run: Path) -> list[str]:
    with (run / "training.csv").open() as file:
        return next(csv.reader(file))


def test_regions_from_training_to_evaluation(
    balls: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, image = tmp_path / "run", balls.cases[0].images[0]
    words = [
        f"dataset={balls.root}",
        "dataset.regions={both:[3,7],high:7}",
        f"run_dir={run}",
        "trainer.max_steps=60",
    ]
    assert main(["train", *words, *SHORT, *FIXED, "trainer.learning_rate=0.02"]) == 0
    assert {"dice_both", "dice_high", "ci95_dice_high"} <= set(columns(run))
    plan = read_plan(run / "plan.json")
    assert (plan.labels, plan.regions, plan.label_values) == (
        {"both": 3, "high": 7},
        REGIONS,
        (3, 7),
    )
    assert len(read_bundle(run).state("0")["head.weight"]) == 2
    out = tmp_path / "out" / "case_0.nii.gz"
    assert (
        main(["predict", str(image), "-o", str(out), "-m", str(run), "--stats", "--preview"]) == 0
    )
    values = read_labels(out).array
    assert set(np.unique(values)) == {0, 3, 7}
    figures = json.loads(Path(f"{out}.json").read_text())["labels"]
    assert figures["both"]["voxels"] == (values > 0).sum()
    assert figures["high"]["voxels"] == (values == 7).sum()
    capsys.readouterr()
    flags = ["--labels", "both=3+7,high=7"]
    assert (
        main(["evaluate", str(out), str(balls.cases[0].label), *flags, "-o", str(tmp_path / "r")])
        == 0
    )
    found = json.loads((tmp_path / "r/summary.json").read_text())["labels"]
    assert list(found) == ["both", "high"]
    assert found["high"]["dice"] > 0.5


def test_a_training_on_partly_annotated_scans(sparse_balls: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [f"dataset={sparse_balls.root}", f"run_dir={run}", "trainer.max_steps=3"]
    assert main(["train", *words, *SHORT, *FIXED]) == 0
    assert read_plan(run / "plan.json").ignore == 9
    assert list(read_plan(run / "plan.json").labels) == ["low", "high"]
    assert all(torch.isfinite(value).all() for value in read_bundle(run).state("0").values())


@pytest.fixture(scope="module")
def many_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans of 45 cubes, each a label with a brightness of its own; values up to 440."""
    folder = tmp_path_factory.mktemp("many")
    places = np.stack(np.unravel_index(np.arange(45), (3, 3, 5)), axis=1) * 6 + 2
    for number in range(2):
        labels = np.zeros((20, 20, 32), np.uint16)
        for index, (x, y, z) in enumerate(places):
            labels[x : x + 4, y : y + 4, z : z + 4] = 10 * index
        image = labels.astype(np.float32) + stream(0, 0, number).standard_normal(
            labels.shape, dtype=np.float32
        )
        write_image(folder / f"images/{number}.nii.gz", Volume(image[None], np.eye(4)))
        write_labels(
            folder / f"labels/{number}.nii.gz",
            Volume(labels[None] + 5 * (labels[None] > 0), np.eye(4)),
        )
    return folder


def test_44_labels_train_and_predict(many_labels: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [f"dataset={many_labels}", f"run_dir={run}", "trainer.max_steps=3"]
    assert main(["train", *words, *SHORT, *FIXED]) == 0
    assert len([name for name in columns(run) if name.startswith("dice_")]) == 44
    out = tmp_path / "0.nii.gz"
    assert (
        main(
            [
                "predict",
                str(many_labels / "images/0.nii.gz"),
                "-o",
                str(out),
                "-m",
                str(run),
                "--preview",
            ]
        )
        == 0
    )
    assert read_labels(out).array.dtype in (np.uint8, np.uint16)
    assert (
        main(
            [
                "evaluate",
                str(out),
                str(many_labels / "labels/0.nii.gz"),
                "-o",
                str(tmp_path / "report"),
            ]
        )
        == 0
    )


def test_bfloat16_scores_have_a_loss_in_float32(regions_plan: Plan) -> None:
    network = torch.nn.Conv3d(1, 2, 1)
    batch = {
        "image": torch.randn(1, 1, 4, 4, 4),
        "labels": torch.ones(1, 4, 4, 4, dtype=torch.long),
    }
    mode, loss_of = ComputeMode("bfloat16", "contiguous"), build_loss(TrainerConfig(), regions_plan)
    loss = TrainingLoss(network, loss_of, slice_axis=None, mode=mode)(
        batch["image"], batch["labels"]
    )
    assert loss.dtype == torch.float32
