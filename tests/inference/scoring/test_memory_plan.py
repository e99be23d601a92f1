"""Memory decides how a scan is tiled, and never the result."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle, write_bundle
from segkit.errors import OutOfMemoryError
from segkit.inference import Predictor
from segkit.inference.scoring.memory_plan import (
    MemoryNeeds,
    MemoryPlan,
    choose_memory_plan,
    memory_plans,
    network_bytes,
)
from segkit.inference.scoring.scan_scorer import TimedScan
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.io.memory import resident_memory
from segkit.networks import build_network
from segkit.plans.plan import LayerPlan
from segkit.preprocessing.chain import prepare_parts
from segkit.volume import Volume

Make = Callable[..., Bundle]
PATCH = (32, 32, 32)


def scan(*shape: int) -> Volume:
    array = np.random.default_rng(0).integers(0, 100, (1, *shape), dtype=np.uint8)
    return Volume(array, np.eye(4))


def needs_of(bundle: Bundle, volume: Volume, channels: int = 1) -> MemoryNeeds:
    plan = bundle.plan
    parts = prepare_parts(volume, plan)
    return MemoryNeeds(
        scan=parts,
        plan=plan,
        channels=channels,
        classes=len(plan.label_values),
        overlap=0.5,
        margins=TimedScan(parts, Stopwatch(), window=plan.patch, overlap=0.5).margins,
        networks=(plan.network,),
        result_bytes=1,
    )


def chosen(needs: MemoryNeeds, allowed: int | None = None) -> MemoryPlan:
    limit = None if allowed is None else allowed + resident_memory()
    return choose_memory_plan(needs, limit=limit)


def all_chosen(needs: MemoryNeeds) -> list[MemoryPlan]:
    """Return one plan after the other, each for a little less memory than the one before takes."""
    found = [chosen(needs)]
    for plan in memory_plans(needs):
        if plan.bytes <= found[-1].bytes - (2 << 20):
            found.append(plan)
    return found


def test_less_memory_means_fewer_windows_at_once_then_more_parts(make_bundle: Make) -> None:
    needs = needs_of(make_bundle(patch=PATCH), scan(300, 200, 100))
    found = all_chosen(needs)
    for larger, smaller in pairwise(found):
        assert chosen(needs, larger.bytes - (2 << 20)) == smaller
    with pytest.raises(OutOfMemoryError):
        chosen(needs, found[-1].bytes - (2 << 20))
    assert (found[0].windows.axis, found[0].windows.batch, len(found[0].parts)) == (0, None, 1)
    assert (found[1].windows.batch, len(found[1].parts)) == (1, 1)
    assert [len(each.parts) for each in found] == sorted(len(each.parts) for each in found)
    assert len(found[-1].parts) > 2
    counts = [each.count((300, 200, 100)) for each in found]
    assert counts[0] == 18 * 12 * 6
    assert counts == sorted(counts)
    assert [each.bytes for each in found] == sorted((each.bytes for each in found), reverse=True)


def test_labels_do_not_depend_on_memory(make_bundle: Make) -> None:
    bundle = make_bundle(patch=PATCH, spacing=(1.5, 0.8, 1.0))
    volume = scan(200, 100, 40)
    found = all_chosen(needs_of(bundle, volume))
    expected = Predictor(bundle).predict(volume).array
    assert 0 < np.count_nonzero(expected) < expected.size
    done: list[tuple[int, int]] = []
    frugal = Predictor(
        bundle, max_memory=resident_memory() + (found[1].bytes + found[-1].bytes) // 2
    )
    labels = frugal.predict(volume, progress=lambda *count: done.append(count)).array
    assert done[-1][0] == done[-1][1] > found[0].count(prepare_parts(volume, bundle.plan).shape)
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("dark", [0, -1])
def test_windows_are_foreseen_on_whichever_side_the_odd_voxel_is_padded(
    make_bundle: Make, dark: int
) -> None:
    # Along the first two axes an odd number of windows of 32 has no middle one: 159 - 32 and
    # 95 - 32 are odd.
    bundle, volume = make_bundle(patch=PATCH), scan(159, 95, 64)
    volume.array[:] += 1  # nothing is cropped
    volume.array[:, dark], volume.array[:, :, dark] = 1, 1
    found = all_chosen(needs_of(bundle, volume))
    frugal = Predictor(
        bundle, max_memory=resident_memory() + (found[1].bytes + found[-1].bytes) // 2
    )
    done: list[tuple[int, int]] = []
    labels = frugal.predict(volume, progress=lambda *count: done.append(count)).array
    assert done[-1][0] == done[-1][1] > found[0].count(volume.grid.shape)
    assert np.array_equal(labels, Predictor(bundle).predict(volume).array)


def test_single_windows_are_counted_alike_in_less_memory(make_bundle: Make, tmp_path: Path) -> None:
    # Normalised over each window, the same voxel is another one in every window.
    layer = LayerPlan("layer", 2, "group", 1, 512)
    plan = make_bundle(patch=PATCH).plan
    stages = [
        dataclasses.replace(stage, layers=(layer,))
        for stage in (*plan.network.encoder, *plan.network.decoder)
    ]
    network = dataclasses.replace(
        plan.network, encoder=tuple(stages[:2]), decoder=tuple(stages[2:])
    )
    plan = dataclasses.replace(plan, network=network)
    torch.manual_seed(0)
    bundle = write_bundle(tmp_path / "normed", plan, {}, {"0": build_network(plan).state_dict()})
    volume = scan(200, 100, 40)
    found = all_chosen(
        dataclasses.replace(needs_of(bundle, volume, channels=2), window_label_bytes=1)
    )
    ample = Predictor(bundle, count_mismatch=True)
    expected = ample.prediction(volume).tile_mismatch
    limit = resident_memory() + (found[1].bytes + found[-1].bytes) // 2
    frugal = Predictor(bundle, max_memory=limit, count_mismatch=True)
    assert frugal.prediction(volume).tile_mismatch == expected
    assert expected
    assert 0 < expected < 1
    assert Predictor(bundle).prediction(scan(20, 20, 20)).tile_mismatch is None


def test_labels_of_single_windows_take_memory(make_bundle: Make) -> None:
    without = needs_of(make_bundle(patch=PATCH), scan(300, 200, 100))
    kept = dataclasses.replace(without, window_label_bytes=2)
    # Rows lie along X, so 32 planes are held.
    assert chosen(kept).bytes - chosen(without).bytes == 2 * 32 * 200 * 100


def test_the_number_of_labels_hardly_counts_where_features_are_fewer(make_bundle: Make) -> None:
    few, many = (
        make_bundle(),
        make_bundle(labels={f"label{value}": value for value in range(1, 118)}, folder="many"),
    )
    volume = scan(200, 200, 200)
    assert chosen(needs_of(many, volume, channels=118)).bytes > chosen(
        needs_of(many, volume)
    ).bytes + (10 << 20)
    assert chosen(needs_of(many, volume)).bytes < chosen(needs_of(few, volume)).bytes + (2 << 20)


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's count of the most memory held"
)
def test_the_estimate_holds(make_bundle: Make) -> None:
    labels = {f"label{value}": value for value in range(1, 118)}
    bundle = make_bundle(labels=labels, spacing=(1.0, 1.0, 0.5), patch=PATCH)
    volume = scan(60, 300, 150)
    code = f"""
import numpy, segkit
from pathlib import Path
from segkit.volume import Volume

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

model = segkit.load({str(bundle.path)!r})
array = numpy.random.default_rng(0).integers(0, 100, {volume.array.shape}, dtype=numpy.uint8)
model.predict(Volume(array[:, :40, :40, :40], numpy.eye(4)))
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
model.predict(Volume(array, numpy.eye(4)))
print(memory("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        int(done.stdout)
        < chosen(needs_of(bundle, volume)).bytes
        < 4 * 118 * volume.grid.voxels // 8
    )  # all scores


def test_a_wider_network_of_an_ensemble_counts(make_bundle: Make) -> None:
    narrow = make_bundle(patch=PATCH)
    plan = narrow.plan.network
    wide = dataclasses.replace(
        plan,
        encoder=tuple(
            dataclasses.replace(
                stage, layers=tuple(dataclasses.replace(each, channels=8) for each in stage.layers)
            )
            for stage in plan.encoder
        ),
    )
    task = needs_of(narrow, scan(40, 40, 40))
    assert network_bytes(plan, task, windows=2) == 4 * 2 * (6 + 4) * 32**3
    assert network_bytes(wide, task, windows=2) == 4 * 2 * (6 * 8 + 4) * 32**3
    both = dataclasses.replace(task, networks=(plan, wide))
    assert (
        chosen(both).bytes
        == chosen(dataclasses.replace(task, networks=(wide,))).bytes
        > chosen(task).bytes
    )


def test_what_a_gpu_holds_does_not_count(make_bundle: Make) -> None:
    task = needs_of(make_bundle(patch=PATCH), scan(100, 100, 100))
    sums_here = dataclasses.replace(task, networks=())
    nothing_here = dataclasses.replace(sums_here, holds_sums=False)
    # Of one channel, and of the weights, 32 planes are held.
    assert chosen(sums_here).bytes - chosen(nothing_here).bytes == 2 * 4 * 32 * 100 * 100
    assert chosen(sums_here).bytes < chosen(task).bytes


def test_what_comes_after_the_network_counts(make_bundle: Make) -> None:
    task = needs_of(make_bundle(patch=PATCH), scan(100, 100, 100))
    assert chosen(dataclasses.replace(task, after=1000)).bytes == chosen(task).bytes
    assert chosen(dataclasses.replace(task, after=1 << 30)).bytes == 100**3 + (1 << 30)


def test_what_to_do_depends_on_who_set_the_limit(make_bundle: Make) -> None:
    with pytest.raises(OutOfMemoryError, match=r"and the limit is 1 bytes\. Allow more, or crop"):
        choose_memory_plan(needs_of(make_bundle(), scan(20, 20, 20)), limit=1)
