"""A coarse model finds a box: inside it every voxel is as without a box, outside background."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle, write_bundle
from segkit.errors import InputError, OutOfMemoryError
from segkit.inference import Predictor, load
from segkit.inference.locate import box_of_labels, enlarged, warn_of_cut_labels
from segkit.inference.prediction import Prediction, Wanted
from segkit.io.memory import resident_memory
from segkit.networks import build_network
from segkit.plans.plan import LayerPlan
from segkit.preprocessing.chain import InverseTransform
from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.volume import Box, Volume

Make = Callable[..., Bundle]
COARSE = {"spacing": (2.0, 2.0, 2.0), "folder": "coarse"}


def scan(shape: tuple[int, int, int] = (60, 50, 40), affine: np.ndarray | None = None) -> Volume:
    """Noise around 20 and, in the first half along X, a box of 10 x 8 x 6 voxels around 100."""
    array = np.random.default_rng(0).normal(20, 5, (1, *shape)).astype(np.float32)
    array[0, 16:26, 20:28, 18:24] += 80
    return Volume(array, np.eye(4) if affine is None else affine)


def normed(
    make_bundle: Make,
    folder: Path,
    regions: dict[str, tuple[int, ...]] | None = None,
    **changes: object,
) -> Bundle:
    """Return a model with random weights and norms: scores depend on the voxels of a window."""
    layer = LayerPlan("layer", 2, "group", 1, 512)
    plan = make_bundle(**changes).plan
    stages = [
        dataclasses.replace(stage, layers=(layer,))
        for stage in (*plan.network.encoder, *plan.network.decoder)
    ]
    network = dataclasses.replace(
        plan.network, encoder=tuple(stages[:2]), decoder=tuple(stages[2:])
    )
    plan = dataclasses.replace(plan, network=network, regions=regions or {})
    torch.manual_seed(0)
    return write_bundle(folder, plan, {}, {"0": build_network(plan).state_dict()})


def box_of(prediction: Prediction) -> Box:
    assert prediction.box is not None
    return prediction.box


def assert_as_without_a_box(
    bundle: Bundle,
    coarse: Bundle,
    volume: Volume,
    windows: tuple[int, int, int] = (8, 8, 8),
    **options: object,
) -> Box:
    """Compare labels and uncertainty with a prediction without a box; return the box.

    They are equal at a window's edge inside the box, and 0 outside the box.
    """
    located = Predictor(bundle, locate=coarse, **options)  # type: ignore[arg-type]
    prediction = located.prediction(volume, Wanted(uncertainty=True))
    assert prediction.uncertainty
    found = prediction.labels, prediction.uncertainty
    whole = Predictor(bundle, **options).predict_with_uncertainty(volume)  # type: ignore[arg-type]
    box = box_of(prediction)
    inner = [
        slice(part.start + edge, part.stop - edge) for part, edge in zip(box, windows, strict=True)
    ]
    outside = np.ones(volume.grid.shape, bool)
    outside[box] = False
    for here, there in zip(found, whole, strict=True):
        assert here.array[:, *inner].size
        assert np.array_equal(here.array[:, *inner], there.array[:, *inner])
        assert not here.array[0][outside].any()
        assert np.array_equal(here.affine, volume.affine)
    assert found[0].array.any()
    assert np.count_nonzero(whole[0].array) > np.count_nonzero(
        found[0].array
    )  # there is something to leave out
    return box


@pytest.mark.parametrize(
    ("spacing", "windows"),
    [((1.0, 1.0, 1.0), (8, 8, 8)), ((0.7, 1.5, 1.0), (7, 13, 9)), ((None, 0.8, 1.5), (8, 8, 12))],
)
@pytest.mark.parametrize("normalise", ["none", "zscore"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_in_the_box_as_without_it_bit_for_bit(
    make_bundle: Make,
    tmp_path: Path,
    spacing: tuple[float, ...],
    windows: tuple[int, int, int],
    normalise: str,
    overlap: float,
) -> None:
    bundle = normed(make_bundle, tmp_path / "full", spacing=spacing, normalise=normalise)
    volume = scan((40, 40, 36))
    box = assert_as_without_a_box(bundle, make_bundle(**COARSE), volume, windows, overlap=overlap)
    # The labelled box with 10 mm on each side, more than 2 coarse voxels and an eighth of a window.
    assert [(part.start, part.stop) for part in box] == [(6, 36), (10, 38), (8, 34)]


def test_mirrored_windows_regions_and_slices(make_bundle: Make, tmp_path: Path) -> None:
    coarse = make_bundle(**COARSE)
    mirrored = normed(make_bundle, tmp_path / "mirrored", mirror_axes=(0, 1))
    assert_as_without_a_box(mirrored, coarse, scan(), tta=True)
    regions = normed(make_bundle, tmp_path / "regions", regions={"bright": (7,)})
    assert_as_without_a_box(regions, coarse, scan())
    slices = normed(make_bundle, tmp_path / "slices", dims=2, spacing=(1.0, 1.0, None))
    assert_as_without_a_box(slices, coarse, scan(), (8, 8, 0))
    assert_as_without_a_box(
        mirrored, make_bundle(2, spacing=(2.0, 2.0, None), folder="coarse slices"), scan()
    )


def test_an_ensemble_locates_for_an_ensemble(make_bundle: Make) -> None:
    full = [make_bundle(threshold=threshold, folder=f"full {threshold}") for threshold in (0, 30)]
    coarse = [
        make_bundle(threshold=threshold, **{**COARSE, "folder": str(threshold)})
        for threshold in (0, 100)
    ]
    located = Predictor(full, locate=coarse)
    prediction = located.prediction(scan())
    labels, box = prediction.labels.array, box_of(prediction)
    inner = [slice(part.start + 8, part.stop - 8) for part in box]
    assert np.array_equal(labels[:, *inner], Predictor(full).predict(scan()).array[:, *inner])
    assert np.count_nonzero(labels) == np.count_nonzero(labels[:, *box])
    assert located.locator
    assert [bundle.path for bundle in located.locator.bundles] == [bundle.path for bundle in coarse]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_orientation_on_its_own_grid(
    make_bundle: Make, tmp_path: Path, order: tuple[int, int, int]
) -> None:
    bundle, coarse = normed(make_bundle, tmp_path / "full"), make_bundle(**COARSE)
    for signs in itertools.product((1, -1), repeat=3):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, list(order)] * signs
        affine[:3, 3] = (5, -7, 11)
        box = assert_as_without_a_box(bundle, coarse, scan((40, 40, 36), affine))
        assert [(part.start, part.stop) for part in box] == [(6, 36), (10, 38), (8, 34)]


def test_an_oblique_scan_with_a_border_and_long_voxels(make_bundle: Make, tmp_path: Path) -> None:
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    array = np.zeros((1, 70, 60, 44), np.float32)
    array[:, 4:64, 3:53, 2:42] = scan().array
    volume = Volume(array, rotation @ np.diag([-1, 1, 2, 1]))
    bundle = normed(make_bundle, tmp_path / "full", crop_to_content=True)
    box = assert_as_without_a_box(
        bundle, make_bundle(crop_to_content=True, **COARSE), volume, (8, 8, 5)
    )
    # 10 mm are 5 voxels along Z.
    assert [(part.start, part.stop) for part in box] == [(10, 40), (13, 41), (15, 31)]


def test_a_tilted_scan(make_bundle: Make) -> None:
    affine = np.eye(4)
    affine[1, 2] = 0.5
    full = make_bundle(threshold=20)
    located = Predictor(full, locate=make_bundle(**COARSE))
    labels, whole = (
        located.predict(scan(affine=affine)).array,
        Predictor(full).predict(scan(affine=affine)).array,
    )
    assert np.array_equal(labels[:, 14:28, 20:28, 18:24], whole[:, 14:28, 20:28, 18:24])
    assert not labels[:, 40:].any()
    assert whole[:, 40:].any()


def test_fewer_windows_are_computed(make_bundle: Make) -> None:
    counts = []
    for locate in (None, make_bundle(**COARSE)):
        done: list[tuple[int, int]] = []
        predictor = Predictor(make_bundle(folder="full"), locate=locate, count_mismatch=True)
        prediction = predictor.prediction(
            scan(), progress=lambda *count, done=done: done.append(count)
        )
        assert done[-1][0] == done[-1][1]
        counts.append(done[-1][1])
        assert prediction.tile_mismatch == 0
    # Windows start every 4 voxels; from 4, 8 and 8 to 28, 32 and 28 they cover the box.
    assert counts == [14 * 12 * 9, 7 * 7 * 6]
    assert set(prediction.seconds) == {"locate", "prepare", "network", "restore"}


def test_two_threads_with_one_predictor_get_what_each_gets_alone(
    make_bundle: Make, tmp_path: Path
) -> None:
    predictor = Predictor(
        normed(make_bundle, tmp_path / "full"),
        locate=make_bundle(**COARSE),
        count_mismatch=True,
        threads=1,
    )
    scans = [scan((60 + 6 * number, 50, 40 - 2 * number)) for number in range(4)]
    alone = [predictor.prediction(each) for each in scans]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(predictor.prediction, scans))
    assert len({each.tile_mismatch for each in alone}) > 1
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.labels.array, other.labels.array)
        assert (one.box, one.tile_mismatch) == (other.box, other.tile_mismatch)


def test_little_memory_changes_nothing(make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    full, coarse, volume = make_bundle(threshold=20), make_bundle(**COARSE), scan((160, 100, 60))
    ample = Predictor(full, locate=coarse).predict(volume).array
    limit = resident_memory() + (16 << 20)
    frugal = Predictor(full, locate=coarse, max_memory=limit).predict(volume).array
    assert re.search(r"scan, coarse model: is processed in [2-9] parts", caplog.text)
    assert np.array_equal(ample, frugal)
    with pytest.raises(
        OutOfMemoryError, match="scan, coarse model: 80 x 50 x 30 voxels take at least"
    ):
        Predictor(full, locate=coarse, max_memory=1000).predict(volume)


def test_where_the_coarse_model_finds_nothing_all_is_predicted(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    full = make_bundle(folder="full")
    blind = Predictor(full, locate=make_bundle(threshold=1000, **COARSE))
    prediction = blind.prediction(scan(), where="a.nii")
    assert np.array_equal(prediction.labels.array, Predictor(full).predict(scan()).array)
    assert (
        "a.nii: the coarse model finds no label at all, so all of the scan is predicted"
        in caplog.text
    )
    assert prediction.box is None


def test_a_label_that_goes_on_behind_the_box_is_said(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    volume, coarse = scan(), make_bundle(**COARSE)
    full = make_bundle(folder="full")
    Predictor(full, locate=coarse).predict(volume)
    assert "cut" not in caplog.text
    volume.array[0, 26:50, 20:28, 18:24] = (
        52  # bright for the full model, and too thin for the coarse one
    )
    strict = make_bundle(threshold=75, **COARSE)
    Predictor(full, locate=strict).predict(volume, where="a.nii")
    assert (
        "a.nii: bright may be cut at the border of the box that the coarse model found"
        in caplog.text
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_label_is_cut_only_inside_the_content_in_every_orientation(
    order: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """The label is at the end of X; the box ends there, or one voxel before."""
    for signs in itertools.product((1, -1), repeat=3):
        flips = tuple(sign < 0 for sign in signs)
        shape = [0, 0, 0]
        for axis, size in zip(order, (7, 8, 9), strict=True):
            shape[axis] = size
        kept = (slice(1, 5), slice(2, 7), slice(3, 9))
        inverse = InverseTransform(
            AxisMap(order, flips), (shape[0], shape[1], shape[2]), kept, (4, 5, 6), (4, 5, 6)
        )
        labels = np.zeros(shape, np.uint8)
        inverse.view(labels)[2:, 1:4, 1:5] = 7
        for stop, is_cut in ((4, False), (3, True)):
            box = (slice(1, stop), slice(0, 5), slice(0, 6))
            caplog.clear()
            warn_of_cut_labels(labels, inverse, box, {"bright": 7}, where=Path("a.nii"))
            assert ("bright may be cut" in caplog.text) is is_cut


def test_a_box_that_ends_with_the_scan_cuts_nothing(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    array = np.full((1, 12, 12, 12), 100, np.float32)
    labels = Predictor(make_bundle(), locate=make_bundle(**COARSE)).predict(
        Volume(array, np.eye(4))
    )
    assert labels.array.all()
    assert "cut" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": {"dark": 7}},
            r"coarse: expected a coarse model with the labels of the other one \(bright\), "
            r"found dark\. Train both",
        ),
        (
            {"channels": 2},
            r"with the channels of the other one \(channel0\), found channel0, channel1",
        ),
        (
            {"unit": "px", "dims": 2},
            r"with the unit of voxel sizes of the other one \(mm\), found px",
        ),
    ],
)
def test_models_that_do_not_fit(
    make_bundle: Make, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(
            make_bundle(), locate=make_bundle(**{**COARSE, "spacing": (2.0, 2.0, None), **changes})
        )


def test_swapped_models(make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
    full, coarse = make_bundle(), make_bundle(**COARSE)
    load(full.path, locate=coarse.path)
    assert "swapped" not in caplog.text
    load(coarse.path, locate=full.path)
    assert (
        "model has no larger voxels than the model that it locates for: are the two swapped?"
        in caplog.text
    )


def test_small_pieces_do_not_count_and_parts_do() -> None:
    labels = np.zeros((40, 40, 40), np.uint16)
    labels[10:20, 10:20, 10:20] = 300
    labels[0, 0, 0] = labels[39, 0:3, 0:3] = 300  # 1 and 9 of 1000 voxels
    assert box_of_labels(labels) == (slice(10, 20), slice(10, 20), slice(10, 20))
    labels[39, 3, 0] = 300  # 10 of 1000
    assert box_of_labels(labels) == (slice(10, 40), slice(0, 20), slice(0, 20))
    assert box_of_labels(labels, min_voxels=11) == (slice(10, 20), slice(10, 20), slice(10, 20))
    labels[39, 0:10, 0:10] = 300  # a tenth of the largest
    assert box_of_labels(labels, min_voxels=101) == (slice(10, 40), slice(0, 20), slice(0, 20))


def test_a_small_label_counts_and_its_crumbs_do_not() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[10:20, 10:20, 10:20] = 1
    labels[5, 30, 39] = 2
    assert box_of_labels(labels) == (slice(5, 20), slice(10, 31), slice(10, 40))
    labels[25:30, 12:14, 12] = 2  # 10 voxels, so that one is a tenth, and a hundredth of 1000
    assert box_of_labels(labels, min_voxels=2) == (slice(5, 30), slice(10, 31), slice(10, 40))
    labels[30, 12:14, 12] = 2
    assert box_of_labels(labels, min_voxels=2) == (slice(10, 31), slice(10, 20), slice(10, 20))
    assert box_of_labels(np.zeros((4, 4, 4), np.uint8)) is None


def test_a_box_grows_by_whole_lines_and_not_out_of_the_scan() -> None:
    box = (slice(18, 20), slice(4, 6), slice(0, 3))
    assert enlarged(box, (20, 20, 3), (1.2, 2, 1)) == (slice(16, 20), slice(2, 8), slice(0, 3))


def test_two_voxels_of_the_coarse_model_are_more_than_10_mm_where_they_are_large(
    make_bundle: Make,
) -> None:
    located = Predictor(make_bundle(), locate=make_bundle(spacing=(8.0, 4.0, 4.0), folder="coarse"))
    array = np.zeros((1, 96, 64, 64), np.float32)
    array[0, 40:56, 24:40, 24:40] = 100
    box = box_of(located.prediction(Volume(array, np.eye(4))))
    assert [(part.start, part.stop) for part in box] == [(24, 72), (14, 50), (14, 50)]
