"""Dice and tile mismatch of whole scans, and Dice with the norms in training mode."""

from __future__ import annotations

import torch

from segkit.studies.normalization.measurement import Measurement
from segkit.studies.normalization.scans import scan_measurements, training_mode_measurements
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.training.validation import validate


def named(found: list[Measurement], measure: str) -> dict[tuple[str, float | None], float]:
    return {(m.label, m.overlap): m.value for m in found if m.measure == measure}


def test_dice_is_that_of_the_validation(batch_cell: TrainedCell) -> None:
    cell = batch_cell
    found = list(scan_measurements(cell, cell.cases, (0.5,)))
    score = validate(cell.network, cell.cases, cell.plan, mode=cell.mode, device=cell.device)
    dice = {(m.case, m.label): m.value for m in found if m.measure == "dice"}
    assert dice == {
        (case, label): value
        for case, labels in score.per_case.items()
        for label, value in labels.items()
    }
    assert dice


def test_every_overlap_has_windows_and_mismatch(batch_cell: TrainedCell) -> None:
    # A scan of 20 x 18 x 16 voxels in windows of 8 x 16 x 16: 3 along X and 2 along Y without
    # overlap, 4 along X at a half.
    found = list(scan_measurements(batch_cell, batch_cell.cases[:1], (0.0, 0.5)))
    assert named(found, "windows") == {("", 0.0): 6, ("", 0.5): 8}
    for measure in ("tile_mismatch", "tile_mismatch_foreground"):
        assert all(0 <= value <= 1 for value in named(found, measure).values())
    assert set(named(found, "tile_mismatch")) == {("", 0.0), ("", 0.5)}


def test_a_scan_of_one_window_has_no_mismatch(group_cell: TrainedCell) -> None:
    small = group_cell.cases[0]
    one = type(small)(small.id, small.image[:, :8, :16, :16], small.labels[:8, :16, :16], {})
    found = list(scan_measurements(group_cell, [one], (0.0, 0.5)))
    assert named(found, "windows") == {("", 0.0): 1, ("", 0.5): 1}
    assert not named(found, "tile_mismatch")


def test_group_norm_has_no_gap_at_all(group_cell: TrainedCell) -> None:
    gaps = named(list(training_mode_measurements(group_cell, group_cell.cases)), "train_eval_gap")
    assert gaps
    assert set(gaps.values()) == {0.0}


def test_batch_norm_is_measured_with_the_batches_of_the_training(batch_cell: TrainedCell) -> None:
    before = {name: value.clone() for name, value in batch_cell.network.state_dict().items()}
    found = list(training_mode_measurements(batch_cell, batch_cell.cases))
    trained, gaps = named(found, "dice_batch_statistics"), named(found, "train_eval_gap")
    evaluated = named(list(scan_measurements(batch_cell, batch_cell.cases, (0.0,))), "dice")
    assert {key: round(evaluated[key] - value, 6) for key, value in trained.items()} == {
        key: round(gap, 6) for key, gap in gaps.items()
    }
    assert {m.batch for m in found} == {2}
    assert any(gaps.values())  # after three steps the running statistics lag behind
    after = batch_cell.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(module.training for module in batch_cell.network.modules())
