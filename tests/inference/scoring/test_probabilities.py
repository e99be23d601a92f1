"""Probabilities by hand, against the label map, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError, UsageError
from segkit.inference import Predictor
from segkit.inference.prediction import Prediction, Wanted
from segkit.inference.scoring.memory_plan import memory_plans
from segkit.io.memory import is_mapped, map_scratch
from segkit.labels.voxel_values import highest, probabilities, steps
from segkit.volume import Volume

Make = Callable[..., Bundle]
THREE = {"a": 5, "b": 300}
TURNED = np.array([[0, 0, -1.0, 9], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def scan(shape: tuple[int, ...] = (12, 9, 10), seed: int = 0) -> Volume:
    array = np.random.default_rng(seed).normal(50, 2, (1, *shape)).astype(np.float32)
    return Volume(array, np.diag([1.0, 1.0, 1.0, 1.0]))


def scores_of(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


def test_probabilities_by_hand() -> None:
    scores = np.log(scores_of(1, 2, 5))
    np.testing.assert_allclose(probabilities(scores).ravel(), [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)
    assert steps(scores).ravel().tolist() == [32, 64, 159]  # 31.9, 63.75, 159.4
    np.testing.assert_allclose(probabilities(scores_of(0, 200), regions=True).ravel(), [0.5, 1.0])


@pytest.mark.parametrize("make", [probabilities, steps])
def test_the_highest_probability_belongs_to_the_highest_score(
    make: Callable[..., np.ndarray],
) -> None:
    close = np.nextafter(np.float32(0.3), np.float32(1))
    assert np.argmax(make(scores_of(0.3, close)), axis=0) == 1
    assert np.argmax(make(scores_of(close, 0.3)), axis=0) == 0
    assert np.argmax(make(scores_of(0.3, 0.3)), axis=0) == 0  # as the label map
    many = np.random.default_rng(0).normal(0, 1e-3, (40, 5, 5, 5)).astype(np.float32)
    assert np.array_equal(np.argmax(make(many), axis=0), highest(many))


@pytest.mark.parametrize(("make", "half"), [(probabilities, 0.5), (steps, 127.5)])
def test_a_region_is_above_a_half_where_it_is_written(
    make: Callable[..., np.ndarray], half: float
) -> None:
    scores = scores_of(1e-12, 0, -1e-12, 3, -3)
    assert (make(scores, regions=True) > half).ravel().tolist() == [True, False, False, True, False]


def of_three(make_bundle: Make, **changes: object) -> Bundle:
    return make_bundle(labels=THREE, **changes)


@pytest.mark.parametrize("changes", [{}, {"spacing": (1.3, 0.8, 1.1), "crop_to_content": True}])
def test_a_prediction_from_python(make_bundle: Make, changes: dict[str, object]) -> None:
    predictor = Predictor(of_three(make_bundle, **changes))
    found = predictor.predict(scan(), probabilities=True)
    assert isinstance(found, Prediction)
    assert (found.channel_names, dict(found.label_names)) == (("background", "a", "b"), THREE)
    assert found.probabilities
    shares = found.probabilities.array
    assert (shares.shape, shares.dtype) == ((3, 12, 9, 10), np.float32)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-6)
    assert np.array_equal(np.array([0, 5, 300])[shares.argmax(axis=0)], found.labels.array[0])
    assert np.array_equal(found.labels.array, predictor.predict(scan()).array)
    assert 0 < np.count_nonzero(found.labels.array) < found.labels.array.size
    assert np.array_equal(found.probability("b").array[0], shares[2])
    assert set(found.seconds) == {"prepare", "network", "restore"}
    assert repr(found).startswith(
        "Prediction(a, b; labels and probabilities of Volume(12 x 9 x 10 voxels of 1 x 1 x 1"
    )


def test_a_label_that_is_none(make_bundle: Make) -> None:
    found = Predictor(make_bundle()).predict(scan(), probabilities=True)
    with pytest.raises(
        UsageError, match="no label is called 'liver'; there are background, bright"
    ):
        found.probability("liver")
    with pytest.raises(UsageError, match="has no probabilities; ask for them with"):
        Predictor(make_bundle()).prediction(scan()).probability("bright")


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("affine", [np.eye(4), TURNED])
def test_a_temporary_file_holds_the_same(
    make_bundle: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    affine: np.ndarray,
) -> None:
    volume = Volume(scan((20, 40, 30)).array, affine)
    predictor = Predictor(of_three(make_bundle, crop_to_content=True, spacing=(1.2, 0.9, 1.0)))
    expected = predictor.prediction(volume, Wanted(probabilities=kind))  # type: ignore[arg-type]
    monkeypatch.setattr("segkit.inference.scoring.to_scan_grid.MAPPED_FROM", 0)
    wanted = Wanted(probabilities=kind, scratch=tmp_path)  # type: ignore[arg-type]
    found = predictor.prediction(volume, wanted)
    assert found.probabilities
    assert expected.probabilities
    assert is_mapped(found.probabilities.array)
    shares = np.asarray(found.probabilities.array)
    assert np.array_equal(shares, np.asarray(expected.probabilities.array))
    assert np.array_equal(np.array([0, 5, 300])[shares.argmax(axis=0)], found.labels.array[0])
    assert not list(tmp_path.glob("tmp*"))


def test_what_was_not_looked_at_is_background(make_bundle: Make) -> None:
    array = np.zeros((1, 30, 20, 20), np.float32)
    array[0, 10:18, 5:15, 5:15] = 60
    found = Predictor(make_bundle(crop_to_content=True)).predict(
        Volume(array, np.eye(4)), probabilities=True
    )
    shares = found.probability("background").array[0]
    assert np.array_equal(shares[:10], np.ones((10, 20, 20)))
    assert shares[12, 7, 7] < 0.01


def test_parts_give_the_same_probabilities(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(of_three(make_bundle, spacing=(1.2, 0.9, 1.0)))
    volume = scan((20, 40, 30))
    whole = predictor.predict(volume, probabilities=True).probabilities
    monkeypatch.setattr(
        "segkit.inference.scoring.scan_scorer.choose_memory_plan",
        lambda needs, **_: list(memory_plans(needs))[5],
    )
    parts = predictor.predict(volume, probabilities=True).probabilities
    assert whole
    assert parts
    assert np.array_equal(whole.array, parts.array)


def test_regions_have_a_channel_each(make_bundle: Make) -> None:
    regions = {"whole": (1, 2), "core": (2,)}
    bundle = make_bundle(labels={"whole": 1, "core": 2}, regions=regions)
    found = Predictor(bundle).predict(scan(), probabilities=True)
    assert found.channel_names == ("whole", "core")
    whole, core = (found.probability(name).array[0] > 0.5 for name in ("whole", "core"))
    assert np.array_equal(found.labels.array[0], np.where(core, 2, np.where(whole, 1, 0)))
    assert np.any(core)


def test_probabilities_of_a_tilted_scan(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[1, 2] = 1.0
    tilted = Volume(scan((12, 12, 9)).array, affine)
    predictor = Predictor(make_bundle(spacing=(1.0, 1.0, None)))
    monkeypatch.setattr("segkit.inference.scoring.to_scan_grid.MAPPED_FROM", 0)
    found = predictor.prediction(tilted, Wanted(probabilities="uint8", scratch=tmp_path))
    assert found.probabilities
    assert np.array_equal(
        np.argmax(np.asarray(found.probabilities.array), 0) * 7, found.labels.array[0]
    )
    assert np.array_equal(found.labels.array > 0, tilted.array > 50)


def test_no_room_for_a_temporary_file(tmp_path: Path, full_disk: Callable[[int], object]) -> None:
    with (
        full_disk(1000),
        pytest.raises(InputError, match=r"found no space for 2\.0 MB of temporary data"),
    ):  # type: ignore[attr-defined]
        map_scratch(tmp_path, (2, 1000, 1000), np.dtype(np.uint8))


def test_a_temporary_file_starts_as_zeros_and_keeps_what_is_written(tmp_path: Path) -> None:
    found = map_scratch(tmp_path / "new", (3, 5), np.dtype(np.float32))
    found[1] = 7
    assert found.sum() == 35
    assert not list((tmp_path / "new").iterdir())


def test_many_labels_in_little_memory(
    peak_of: Callable[[str, str], int], make_bundle: Make, tmp_path: Path
) -> None:
    """100 labels of 80 x 80 x 80 voxels are 205 MB; only a few planes of them are held."""
    bundle = make_bundle(labels={f"label{n}": n for n in range(1, 100)}, patch=(32, 32, 32))
    prepare = f"""
import numpy as np, segkit
from segkit.inference.prediction import Wanted
from segkit.volume import Volume
from segkit.io import write_image
predictor = segkit.load({str(bundle.path)!r}, overlap=0)
scan = Volume(np.random.default_rng(0).integers(0, 100, (1, 80, 80, 80), np.uint8), np.eye(4))
"""
    action = f"""
found = predictor.prediction(scan, Wanted(probabilities="float32", scratch=Path({str(tmp_path)!r})))
write_image({str(tmp_path / "p.nii")!r}, found.probabilities)
"""
    assert peak_of(prepare, action) < 150e6
