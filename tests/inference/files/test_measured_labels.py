"""Labels of a result that are far from the training data are described with figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segkit.inference.files.measured_labels import label_warning, label_warnings
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.plans.ranges import DataRanges, LabelRange
from segkit.preprocessing.orient_and_crop import to_ras
from segkit.preprocessing.scan_checks import comparable_labels
from segkit.quality.arrangement import Arrangement, Usual
from segkit.volume import Volume

PLAN = Path(__file__).parents[2] / "data" / "plan_v1.json"
ORGAN = LabelRange(12, (1200.0, 2300.0), (1, 2))
EVERYWHERE = ((1.0, 1.0),) * 3


def warnings_of(labels: Volume, plan: Plan) -> dict[str, str]:
    grid = to_ras(labels)[0].grid
    training = comparable_labels(grid, plan)
    return {} if training is None else label_warnings(labels.array[0], plan, training, grid)


def plan(**labels: LabelRange) -> Plan:
    named = {name: value for value, name in enumerate(labels, start=1)}
    training = DataRanges(12, EVERYWHERE, ((40.0, 60.0),) * 3, (), labels)  # type: ignore[arg-type]
    return replace(read_plan(PLAN), labels=named, training=training)


def cubes(*edges: int) -> Volume:
    """Cubes of label 1, in voxels of 1 mm, a plane between them."""
    array = np.zeros((1, sum(edges) + len(edges), max(edges), max(edges)), np.uint8)
    start = 0
    for edge in edges:
        array[0, start : start + edge, :edge, :edge] = 1
        start += edge + 1
    return Volume(array, np.eye(4))


@pytest.mark.parametrize(
    ("volume", "pieces", "said"),
    [
        (326_000, 128, "326 ml in 128 pieces; training had 1.2 to 2.3 ml in 1 to 2 pieces"),
        (100, 1, "0.1 ml in 1 piece; training had 1.2 to 2.3 ml in 1 to 2 pieces"),
        (1500, 13, "1.5 ml in 13 pieces; training had 1.2 to 2.3 ml in 1 to 2 pieces"),
        (9000, None, "9 ml; training had 1.2 to 2.3 ml in 1 to 2 pieces"),
        (0, 0, "not found; training had 1.2 to 2.3 ml in 1 to 2 pieces in each of 12 cases"),
        (6900, 12, None),
        (400, 1, None),
    ],
)
def test_figures_of_a_label(volume: float, pieces: int | None, said: str | None) -> None:
    assert label_warning(volume, pieces, ORGAN, cases=12, unit="mm") == said


def test_a_label_that_some_training_cases_lack_may_be_missing() -> None:
    assert label_warning(0, 0, ORGAN, cases=13, unit="mm") is None
    assert label_warning(0, 0, replace(ORGAN, cases=3), cases=3, unit="mm") is None


def test_pictures_have_px() -> None:
    assert label_warning(9000, 1, ORGAN, cases=12, unit="px") == (
        "9000 px in 1 piece; training had 1200 to 2300 px in 1 to 2 pieces"
    )


def test_a_label_map() -> None:
    assert warnings_of(cubes(12), plan(organ=ORGAN)) == {}
    assert warnings_of(cubes(*[2] * 20, 11), plan(organ=ORGAN)) == {
        "organ": "1.49 ml in 21 pieces; training had 1.2 to 2.3 ml in 1 to 2 pieces"
    }


def test_nothing_to_compare_with() -> None:
    assert warnings_of(cubes(2), replace(plan(organ=ORGAN), training=None)) == {}
    assert warnings_of(cubes(2), replace(plan(organ=ORGAN), ignore=9)) == {}


def test_a_stack_for_a_model_of_single_slices() -> None:
    slices = replace(plan(organ=ORGAN), dims=2, slice_axis=2)
    assert warnings_of(cubes(2), slices) == {}
    assert slices.training is not None
    short = replace(slices.training, size=(*slices.training.size[:2], (1.0, 3.0)))
    assert list(warnings_of(cubes(2), replace(slices, training=short))) == ["organ"]


def test_a_slide_for_a_model_of_tiles() -> None:
    tiles = replace(plan(organ=ORGAN), unit="px")
    assert warnings_of(Volume(np.ones((1, 500, 50, 1), np.uint8), np.eye(4), "px"), tiles) == {}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_places_are_those_of_the_patient(order: tuple[int, int, int], sign: int) -> None:
    """The same two labels, 12 mm one behind the other, in files whose axes point elsewhere."""
    model = plan(front=ORGAN, back=ORGAN)
    array = np.zeros((20, 20, 20), np.uint8)
    array[4:6, 15:17, 8:10], array[4:6, 11:13, 8:10] = 1, 2  # y points forward, in voxels of 3 mm
    affine = np.eye(4)
    affine[:3, :3] = (np.diag([2.0, 3.0, 4.0])[:, order]) * sign
    stored = array.transpose(order)[::sign, ::sign, ::sign]
    labels = Volume(stored[None], affine)
    ras, axis_map = to_ras(labels)
    usual = Usual(20, (0.0, -12.0, 0.0), (1.0, 1.0, 1.0), 3.4)

    def found(front: Arrangement) -> dict[str, str]:
        training = replace(model.training, labels={}) if model.training else None
        assert training is not None
        return label_warnings(
            labels.array[0], model, training, ras.grid, axis_map=axis_map, arrangements=[front]
        )

    assert found(Arrangement("front", {"back": usual})) == {}
    other = replace(usual, mean=(0.0, 12.0, 0.0))
    text = found(Arrangement("front", {"back": other}))["back"]
    assert text.startswith("its center is 12 mm posterior of that of front, usually 8.")
    assert text.endswith("; is the scan turned, cut off, or of another contrast?")


def test_all_models_of_an_ensemble_must_agree_on_a_place() -> None:
    model = plan(front=ORGAN, back=ORGAN)
    array = np.zeros((9, 9, 9), np.uint8)
    array[1, 1, 1], array[1, 7, 1] = 1, 2
    ahead = Arrangement("front", {"back": Usual(20, (0.0, 6.0, 0.0), (1.0, 1.0, 1.0), 3.0)})
    behind = Arrangement("front", {"back": Usual(20, (0.0, -6.0, 0.0), (1.0, 1.0, 1.0), 3.0)})
    assert model.training is not None
    training, grid = replace(model.training, labels={}), Volume(array[None], np.eye(4)).grid

    def found(*arrangements: Arrangement) -> list[str]:
        return list(label_warnings(array, model, training, grid, arrangements=arrangements))

    assert (found(behind), found(behind, ahead), found(behind, behind)) == (["back"], [], ["back"])
