"""Cases that are drawn for report.html."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segkit.dataset.dataset import Dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.report.training_page import CasePicture
from segkit.training.outputs.gallery import Gallery


@pytest.fixture(scope="module")
def case(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> PreparedCase:
    return prepare_cases(
        balls.cases[:1], balls, plan_for_balls, tmp_path_factory.mktemp("prepared")
    )[0]


def offer(gallery: Gallery, case: PreparedCase, dice: float) -> None:
    labels = torch.from_numpy(np.array(case.labels, dtype=np.int64))
    gallery.offer(case, labels, labels, {"low": dice, "high": dice})


def test_the_two_lowest_and_the_two_highest_stay(case: PreparedCase, plan_for_balls: Plan) -> None:
    gallery = Gallery(plan_for_balls)
    for dice in (0.5, 0.9, 0.1, 0.6, 0.7, 0.2, 0.8):
        offer(gallery, case, dice)
    assert [shown.mean for shown in gallery.pictures] == [0.1, 0.2, 0.8, 0.9]


def test_the_extremes_of_several_processes_are_kept(plan_for_balls: Plan) -> None:
    gallery = Gallery(plan_for_balls)
    for count, kept in ((7, [0, 1, 5, 6]), (3, [0, 1, 2]), (1, [0])):
        gallery.keep_extremes(
            CasePicture(str(dice), dice / 10, {}, b"") for dice in reversed(range(count))
        )
        assert [picture.case for picture in gallery.pictures] == [str(dice) for dice in kept]


def test_few_cases_are_all_shown_and_one_without_labels_is_not(
    case: PreparedCase, plan_for_balls: Plan
) -> None:
    gallery = Gallery(plan_for_balls)
    nothing = torch.zeros(case.labels.shape, dtype=torch.int64)
    gallery.offer(case, nothing, nothing, {})
    for dice in (0.5, 0.4):
        offer(gallery, case, dice)
    assert [shown.mean for shown in gallery.pictures] == [0.4, 0.5]
    with Image.open(io.BytesIO(gallery.pictures[0].png)) as picture:
        assert picture.format == "PNG"


def test_equal_cases_do_not_push_each_other_out(
    case: PreparedCase, plan_for_balls: Plan, tmp_path: Path
) -> None:
    gallery = Gallery(plan_for_balls)
    for _ in range(6):
        offer(gallery, case, 1.0)
    assert len(gallery.pictures) == 4
