from __future__ import annotations

import dataclasses
import itertools
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch

from segkit.bundle.bundle import Bundle, write_bundle
from segkit.bundle.overlap_dice import overlap_entry
from segkit.bundle.pack import pack_bundle
from segkit.errors import InputError, OutOfMemoryError, UsageError
from segkit.inference import Predictor, load
from segkit.inference.prediction import Wanted
from segkit.inference.scoring.memory_plan import MemoryPlan, choose_memory_plan
from segkit.inference.scoring.scan_scorer import Scored, Scoring, TimedScan, memory_needs
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.inference.scoring.to_scan_grid import decisions_of
from segkit.io import read_volume
from segkit.io.memory import resident_memory
from segkit.labels.voxel_values import entropy
from segkit.preprocessing.chain import prepare_parts
from segkit.volume import Volume

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
Make = Callable[..., Bundle]

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def scan(shape: tuple[int, ...] = (12, 9, 10), spacing: float = 1.0) -> Volume:
    array = np.zeros((1, *shape), np.float32)
    array[0, :5, :4, :3] = 100
    return Volume(array, np.diag([spacing, spacing, spacing, 1]))


def test_labels_are_where_the_threshold_says(make_bundle: Make) -> None:
    labels = Predictor(make_bundle()).predict(scan())
    assert labels.array.dtype == np.uint8
    assert np.array_equal(labels.array, np.where(scan().array > 50, 7, 0))


def test_mirrored_windows_are_turned_back(make_bundle: Make) -> None:
    bundle = make_bundle(mirror_axes=(0, 2))
    assert np.array_equal(
        Predictor(bundle, tta=True).predict(scan()).array, Predictor(bundle).predict(scan()).array
    )


def with_head(bundle: Bundle, weight: float) -> Bundle:
    """The same model, whose last layer multiplies the scan by ``weight``."""
    state = bundle.state("0")
    state["head.weight"][1] = weight
    return write_bundle(bundle.path, bundle.plan, {}, {"0": state})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_an_error(
    make_bundle: Make, tmp_path: Path, bad: float
) -> None:
    array = np.zeros((8, 8, 8), np.float32)
    array[3, 3, 3] = bad
    image = nibabel.Nifti1Image(array, np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    volume = Volume(array[None], np.eye(4))
    predictor = Predictor(make_bundle(), locate=make_bundle(spacing=(2, 2, 2), folder="coarse"))
    ways = (image, SimpleITK.GetImageFromArray(array), volume, tmp_path / "a.nii")
    for given in ways:
        with pytest.raises(InputError, match="expected a number in every voxel, found 1 of 512"):
            predictor.predict(given)
    with pytest.raises(InputError, match="numpy array: expected a number in every voxel"):
        predictor.predict(array, spacing=(1, 1, 1))


@pytest.mark.parametrize("count_mismatch", [False, True])
def test_scores_that_are_not_finite_are_an_error(make_bundle: Make, count_mismatch: bool) -> None:
    damaged = with_head(make_bundle(), 3e38)
    with pytest.raises(
        InputError, match=r"c1\.nii: expected finite scores .*computed in float32.*train it again"
    ):
        Predictor(damaged, count_mismatch=count_mismatch).predict(scan(), where="c1.nii")


def test_scores_in_half_precision_that_are_not_finite(make_bundle: Make) -> None:
    with pytest.raises(InputError, match=r"in bfloat16.*predict with --precision float32"):
        Predictor(with_head(make_bundle(), 3e38), precision="bfloat16").predict(scan())


def test_large_scores_are_no_error(make_bundle: Make) -> None:
    # 60 voxels of 1e38 each: their sum is infinite, none of them is.
    assert np.array_equal(
        Predictor(with_head(make_bundle(), 1e36)).predict(scan()).array == 7, scan().array > 0
    )


def test_frozen_bundle_predicts() -> None:
    array = np.zeros((1, 30, 20, 3), np.int16)
    array[:, 5:15, 5:15], array[:, 20:28, 5:15] = 100, -100
    labels = load(FROZEN).predict(Volume(array, np.eye(4)))
    assert np.array_equal(labels.array, np.select([array == 100, array == -100], [5, 300]))
    assert labels.array.dtype == np.uint16


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_orientation_on_its_own_grid(make_bundle: Make, order: tuple[int, int, int]) -> None:
    predictor = Predictor(make_bundle())
    for signs in itertools.product((1, -1), repeat=3):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, list(order)] * signs
        affine[:3, 3] = (5, -7, 11)
        turned = Volume(scan().array, affine)
        labels = predictor.predict(turned)
        assert np.array_equal(labels.affine, affine)
        assert np.array_equal(labels.array > 0, turned.array > 50)


def test_oblique_affine_and_other_spacing(make_bundle: Make) -> None:
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    coarse = Volume(scan((12, 9, 10)).array, rotation @ np.diag([2, 1.5, 3, 1]))
    labels = Predictor(make_bundle()).predict(coarse)
    assert labels.array.shape == coarse.array.shape
    assert np.array_equal(labels.affine, coarse.affine)
    assert np.mean((labels.array > 0) == (coarse.array > 50)) > 0.97
    assert labels.array[0, 0, 0, 0] == 7


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 1, 1), (20, 20, 1), (1, 20, 20), (8, 8, 8)])
@pytest.mark.parametrize("dims", [2, 3])
def test_small_and_flat_scans(make_bundle: Make, shape: tuple[int, ...], dims: int) -> None:
    labels = Predictor(make_bundle(dims)).predict(scan(shape))
    assert np.array_equal(labels.array > 0, scan(shape).array > 50)


def test_constant_scan_warns(make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
    bundle = make_bundle(channels=1, normalise="zscore")
    labels = Predictor(bundle).predict(
        Volume(np.full((1, 9, 9, 9), 300), np.eye(4)), where="flat.nii"
    )
    assert not labels.array.any()
    assert "flat.nii: channel channel0: the scan has one constant value" in caplog.text


def test_paths_nibabel_and_simpleitk(make_bundle: Make, tmp_path: Path) -> None:
    predictor = Predictor(make_bundle())
    image = nibabel.Nifti1Image(scan().array[0], np.eye(4))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    itk = SimpleITK.GetImageFromArray(scan().array[0].transpose(2, 1, 0))
    expected = predictor.predict(scan()).array
    for given in (tmp_path / "scan.nii.gz", str(tmp_path / "scan.nii.gz"), image, itk):
        assert np.array_equal(predictor.predict(given).array, expected)


def test_last_channel_of_two(make_bundle: Make) -> None:
    two = scan().with_array(np.concatenate([np.zeros_like(scan().array), scan().array]))
    assert np.array_equal(
        Predictor(make_bundle(channels=2)).predict(two).array > 0, scan().array > 50
    )


def test_ensemble_averages_scores(make_bundle: Make) -> None:
    # 100 - 120 < 0 in one, 100 - 40 > 0 in the other: their mean is above 0.
    strict, loose = make_bundle(threshold=120, folder="a"), make_bundle(threshold=40, folder="b")
    assert not Predictor(strict).predict(scan()).array.any()
    assert np.array_equal(Predictor([strict, loose]).predict(scan()).array > 0, scan().array > 50)


def test_ensemble_of_different_plans(make_bundle: Make) -> None:
    bundles = [make_bundle(folder="a"), make_bundle(folder="b", spacing=(2.0, 2.0, 2.0))]
    with pytest.raises(
        InputError,
        match=r"(?s)b: expected the same spacing in every model .*"
        r"Choose one of them with -m.*\n  .*a  \(",
    ):
        Predictor(bundles)


def test_channel_count(make_bundle: Make) -> None:
    with pytest.raises(
        InputError, match=r"scan: expected 2 channels \(channel0, channel1\), found 1"
    ):
        Predictor(make_bundle(channels=2)).predict(scan())


def test_a_scan_for_a_model_of_pictures(make_bundle: Make) -> None:
    with pytest.raises(InputError, match="expected a picture without voxel sizes"):
        Predictor(make_bundle(2, unit="px")).predict(scan())


def test_a_picture_for_a_model_of_scans(make_bundle: Make) -> None:
    with pytest.raises(InputError, match="expected a scan with voxel sizes in mm"):
        Predictor(make_bundle(2)).predict(Volume(np.zeros((1, 9, 9, 1)), np.eye(4), "px"))


def test_memory_is_checked_before_it_is_taken(make_bundle: Make) -> None:
    expected = (
        r"12 x 9 x 10 voxels take at least .* KB of memory in addition to the .* that are already "
        r"in use, and the limit is 1\.0 KB\."
    )
    with pytest.raises(OutOfMemoryError, match=expected):
        Predictor(make_bundle(), max_memory=1000).predict(scan())


class SmallGPU(Predictor):
    """Stand-in for a GPU that is too small for one window: whatever it takes part in fails."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, device="cpu", **options)
        self.tried: list[tuple[str, str, int | None]] = []
        self._score_once = self._scorer._score_once
        self._scorer.windows.device = torch.device("cuda")
        self._scorer._score_once = self._count  # type: ignore[method-assign]

    def _count(
        self, scoring: Scoring, image: TimedScan, memory_plan: MemoryPlan, sums: torch.device
    ) -> Scored:
        self.tried.append((sums.type, self.device.type, memory_plan.windows.batch))
        if self.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._score_once(scoring, image, memory_plan, sums)


def test_a_gpu_gives_way_step_by_step(make_bundle: Make) -> None:
    bundle = make_bundle()
    small = SmallGPU(bundle)
    assert np.array_equal(small.predict(scan()).array, Predictor(bundle).predict(scan()).array)
    assert small.tried == [
        ("cuda", "cuda", None),
        ("cuda", "cuda", 1),
        ("cpu", "cuda", 1),
        ("cpu", "cpu", None),
    ]


def test_what_a_gpu_gives_up_must_fit_into_this_machine(make_bundle: Make) -> None:
    # Sums of 64 planes, their weights and what a window takes, but one window is all that there is.
    bundle, volume = (
        make_bundle(patch=(64, 64, 64), labels={f"label{n}": n for n in range(1, 200)}),
        scan((64, 64, 64)),
    )
    small = SmallGPU(bundle)
    parts = prepare_parts(volume, bundle.plan)
    image = TimedScan(parts, Stopwatch(), window=bundle.plan.patch, overlap=small.overlap)
    scoring = Scoring(scan=parts, decisions=decisions_of(bundle.plan, Wanted()))
    needs = memory_needs(small._scorer, scoring, image)
    in_turn = [
        dataclasses.replace(needs, networks=(), holds_sums=False),
        dataclasses.replace(needs, networks=()),
        needs,
    ]
    first, second, third = (choose_memory_plan(each).bytes for each in in_turn)
    assert first < second < third
    for enough, tried in (((first + second) // 2, 2), ((second + third) // 2, 3)):
        small = SmallGPU(bundle, max_memory=resident_memory() + enough)
        with pytest.raises(
            OutOfMemoryError,
            match=r"64 x 64 x 64 voxels take at least .* the limit is .* Allow more, or",
        ):
            small.predict(volume)
        assert len(small.tried) == tried


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    "changes", [{}, {"normalise": "zscore", "threshold": 0.2, "spacing": (1.3, 0.7, 1.0)}]
)
def test_scaled_numbers_give_the_same_labels(
    make_bundle: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    changes: dict[str, Any],
) -> None:
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 500)
    image = nibabel.Nifti1Image(
        np.random.default_rng(0).integers(0, 2000, (20, 18, 16), np.int16), np.eye(4)
    )
    image.header.set_slope_inter(0.05, 0.3)
    nibabel.save(image, tmp_path / name)
    stored = nibabel.load(tmp_path / name).dataobj.slope
    assert stored == np.float32(0.05)
    bundle = make_bundle(crop_to_content=True, **changes)
    labels = Predictor(bundle).predict(tmp_path / name).array
    assert np.array_equal(labels, Predictor(bundle).predict(read_volume(tmp_path / name)).array)
    assert 0 < np.count_nonzero(labels) < labels.size


def test_fast_means_less_overlap_and_no_mirroring(make_bundle: Make) -> None:
    fast, slow = (Predictor(make_bundle(), fast=fast, tta=True) for fast in (True, False))
    assert (fast.overlap, fast.tta, slow.overlap, slow.tta) == (0.25, False, 0.5, True)
    done: list[tuple[int, int]] = []
    prediction = fast.prediction(scan((14, 8, 8)), progress=lambda *count: done.append(count))
    assert done == [(2, 2)]
    assert set(prediction.seconds) == {"prepare", "network", "restore"}


def with_costs(bundle: Bundle, quarter: float, none: float) -> Bundle:
    """The bundle, with a card that says what the overlaps 0.25 and 0 cost."""
    dice = {0.5: {"bright": 0.9}, 0.25: {"bright": 0.9 - quarter}, 0.0: {"bright": 0.9 - none}}
    card = {**bundle.card, **overlap_entry(dice, 3, 0)}
    return write_bundle(bundle.path, bundle.plan, card, {"0": bundle.state("0")})


def test_overlap_auto_takes_what_costs_little(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cheap, dear = (
        with_costs(make_bundle(folder=name), 0.0, none)
        for name, none in (("a", 0.0005), ("b", 0.005))
    )
    with caplog.at_level(logging.INFO):
        auto = Predictor(cheap, overlap="auto")
    assert "overlap 0.25 changes nothing, overlap 0 loses 0.0005 of Dice" in caplog.text
    assert auto.overlap_reason in caplog.text
    windows: list[tuple[int, int]] = []
    labels = auto.prediction(scan((16, 8, 8)), progress=lambda *count: windows.append(count))
    assert windows[-1] == (2, 2)  # three at 0.5
    assert np.array_equal(labels.labels.array, Predictor(cheap).predict(scan((16, 8, 8))).array)
    assert Predictor([cheap, dear], overlap="auto").overlap == 0.25
    assert Predictor(cheap, overlap="auto", fast=True).overlap == 0.25
    assert Predictor(cheap).overlap == 0.5
    assert load(cheap.path, overlap="auto").overlap == 0
    unknown = Predictor(make_bundle(), overlap="auto")
    assert (unknown.overlap, "has not measured" in unknown.overlap_reason) == (0.5, True)


def test_a_packed_model_keeps_what_overlaps_cost(make_bundle: Make, tmp_path: Path) -> None:
    model = pack_bundle(with_costs(make_bundle(), 0.0, 0.005).path, tmp_path / "model.segkit")
    assert load(model, overlap="auto").overlap == 0.25


def test_bfloat16_gives_the_same_labels(make_bundle: Make) -> None:
    assert np.array_equal(
        Predictor(make_bundle(), precision="bfloat16").predict(scan()).array,
        Predictor(make_bundle()).predict(scan()).array,
    )


def test_words_that_are_none(make_bundle: Make) -> None:
    bundle = make_bundle()
    with pytest.raises(UsageError, match="--device tpu: must be auto, cpu, cuda or cuda:N"):
        Predictor(bundle, device="tpu")
    with pytest.raises(UsageError, match=r"this machine has \d GPUs"):
        Predictor(bundle, device="cuda:9")
    with pytest.raises(UsageError, match="overlap 'least': must be auto, or from 0 to below 1"):
        Predictor(bundle, overlap="least")  # type: ignore[arg-type]


def test_predicting_imports_nothing_that_takes_long_and_is_not_needed() -> None:
    code = f"""
import sys, numpy, segkit
from segkit.volume import Volume
segkit.load({str(FROZEN)!r}).predict(Volume(numpy.zeros((1, 9, 9, 2)), numpy.eye(4)))
import segkit.commands.predict
heavy = {{"lightning", "monai", "torchmetrics", "hydra", "matplotlib", "torch._dynamo", "sympy"}}
heavy |= {{"scipy.special", "scipy.ndimage", "scipy.linalg", "scipy.sparse", "numpy.f2py"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_threads_are_set_while_a_model_predicts(make_bundle: Make) -> None:
    before, seen = torch.get_num_threads(), []
    predictor = Predictor(make_bundle(), threads=before + 1)
    assert torch.get_num_threads() == before
    predictor.predict(scan(), progress=lambda *_: seen.append(torch.get_num_threads()))
    assert (seen, predictor.threads) == ([before + 1], before + 1)
    assert torch.get_num_threads() == before
    assert Predictor(make_bundle()).threads == before


@pytest.mark.gpu
@needs_cuda
def test_gpu_agrees_with_cpu(make_bundle: Make) -> None:
    gpu = Predictor(make_bundle(), device="cuda", precision="float32", tta=True).predict(scan())
    assert np.array_equal(gpu.array, Predictor(make_bundle(), device="cpu").predict(scan()).array)


@pytest.mark.gpu
@needs_cuda
def test_gpu_without_memory_falls_back_to_the_cpu(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor(make_bundle(), device="cuda")
    torch.cuda.empty_cache()  # what other tests left there could be used
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        labels = predictor.predict(scan((64, 64, 64)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.array_equal(labels.array > 0, scan((64, 64, 64)).array > 50)
    assert "continuing on the CPU" in caplog.text


def test_a_model_may_ask_for_the_largest_piece(make_bundle: Make) -> None:
    bundle = make_bundle()
    array = scan().array.copy()
    array[0, 11, 8, 9] = 100
    spotted = scan().with_array(array)
    assert Predictor(bundle).predict(spotted).array[0, 11, 8, 9] == 7
    strict = Bundle(
        bundle.path, bundle.plan, {**bundle.card, "postprocessing": {"bright": "largest"}}
    )
    assert np.array_equal(
        Predictor(strict).predict(spotted).array, Predictor(bundle).predict(scan()).array
    )
    with pytest.raises(
        InputError, match="expected the same postprocessing in every model of an ensemble"
    ):
        Predictor([bundle, strict])


def test_a_voxel_out_of_range_is_found_before_the_network_starts(make_bundle: Make) -> None:
    array = scan((40, 9, 10)).array.astype(np.float64)
    array[0, -1, -1, -1] = 1e200
    done: list[int] = []
    with pytest.raises(
        InputError,
        match=r"expected intensities that 32-bit numbers can hold, found values from 0 to 1e\+200",
    ):
        Predictor(make_bundle(normalise="zscore")).predict(
            Volume(array, np.eye(4)), progress=lambda count, _: done.append(count)
        )
    assert not done


def test_uncertainty_by_hand(make_bundle: Make) -> None:
    # Scores 0 and (voxel - 50): alike at 50, a probability of 3/4 at 50 + log 3.
    array = np.full((1, 8, 8, 8), 50 + np.log(3), np.float32)
    array[:, :4], array[:, 0] = 50, 1000
    volume = Volume(array, np.diag([-1.0, 1, 1, 1]))
    labels, uncertainty = Predictor(make_bundle()).predict_with_uncertainty(volume)
    assert np.array_equal(labels.array, Predictor(make_bundle()).predict(volume).array)
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert uncertainty.array.dtype == np.float32
    np.testing.assert_allclose(uncertainty.array[0, [0, 2, 6], 4, 4], [0, 1, expected], atol=1e-5)
    assert np.array_equal(uncertainty.affine, volume.affine)


def test_of_regions_the_least_certain_counts() -> None:
    scores = np.array([[0, 50, np.log(3)], [50, 50, 50]], np.float32).reshape(2, 3, 1, 1)
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    np.testing.assert_allclose(entropy(scores, regions=True).ravel(), [1, 0, expected], atol=1e-5)


def test_a_constant_border_is_certain(make_bundle: Make) -> None:
    array = np.zeros((1, 20, 8, 8), np.float32)
    array[0, 5:15] = 50.5 + np.arange(10).reshape(10, 1, 1)
    _, uncertainty = Predictor(make_bundle(crop_to_content=True)).predict_with_uncertainty(
        Volume(array, np.eye(4))
    )
    assert not uncertainty.array[0, :5].any()
    assert (uncertainty.array[0, 5:8] > 0.2).all()
