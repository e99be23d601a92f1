"""Scans that are mapped, and slides, give the label maps that the same voxels give in memory."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from segkit.bundle.bundle import Bundle
from segkit.cli import main
from segkit.inference import Predictor
from segkit.inference.scoring.memory_plan import MemoryNeeds, choose_memory_plan
from segkit.inference.scoring.scan_scorer import TimedScan
from segkit.inference.scoring.stopwatch import Stopwatch
from segkit.io import read_volume
from segkit.io.memory import BLOCK_SPAN, is_mapped, resident_memory
from segkit.preprocessing.chain import prepare_parts
from segkit.volume import Volume

Make = Callable[..., Bundle]
RNG = np.random.default_rng(0)


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    """A mapped scan of which 3 planes are a block, with a border of -9."""
    array = np.full((50, 40, 30), -9, np.int16)
    array[3:-4, 2:, :-5] = RNG.integers(0, 100, (43, 38, 25))
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, 2, 1.5, 1])), tmp_path / "a.nii")
    monkeypatch.setattr("segkit.io.nifti.reader.MAPPED_FROM", 0)
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 6000)
    volume = read_volume(tmp_path / "a.nii")
    assert is_mapped(volume.array)
    return volume


@pytest.mark.parametrize("spacing", [(1.0, 2.0, 1.5), (1.3, 1.7, 2.0)])
@pytest.mark.parametrize("masked", [False, True])
def test_mapped_scans(
    make_bundle: Make, mapped: Volume, spacing: tuple[float, ...], masked: bool
) -> None:
    bundle = make_bundle(normalise="zscore", threshold=0.4, spacing=spacing, crop_to_content=True)
    if masked:
        channels = tuple(
            dataclasses.replace(channel, masked=True) for channel in bundle.plan.channels
        )
        bundle = dataclasses.replace(
            bundle, plan=dataclasses.replace(bundle.plan, channels=channels)
        )
    labels = Predictor(bundle).predict(mapped).array
    expected = Predictor(bundle).predict(mapped.with_array(mapped.array.copy())).array
    assert 0 < np.count_nonzero(labels) < labels.size
    assert np.array_equal(labels, expected)


def test_pages_of_a_mapped_scan_take_memory(
    make_bundle: Make, mapped: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_bundle().plan

    def needs_of(volume: Volume) -> MemoryNeeds:
        parts = prepare_parts(volume, plan)
        return MemoryNeeds(
            scan=parts,
            plan=plan,
            channels=1,
            classes=2,
            overlap=0.5,
            margins=TimedScan(parts, Stopwatch(), window=plan.patch, overlap=0.5).margins,
            networks=(plan.network,),
            result_bytes=1,
        )

    read = choose_memory_plan(needs_of(mapped.with_array(mapped.array.copy())))
    with caplog.at_level(logging.INFO):
        memory_plan = choose_memory_plan(
            needs_of(mapped), limit=resident_memory() + (1 << 30), where="a.nii"
        )
    assert memory_plan.bytes - read.bytes == BLOCK_SPAN
    assert (
        "a.nii: is processed in one part, which takes about 8" in caplog.text
    )  # MB: 67 of pages and 16 of scores at the scan's resolution


def test_a_slide(
    make_bundle: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tifffile = pytest.importorskip("tifffile", reason="the extra [wsi] is not installed")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    rows = np.full((150, 130, 3), 255, np.uint8)
    rows[20:60, 30:90] = RNG.integers(0, 256, (40, 60, 3))
    tifffile.imwrite(
        tmp_path / "slide.tif", rows, tile=(64, 64), compression="zlib", photometric="rgb"
    )
    bundle = make_bundle(
        dims=2,
        channels=3,
        unit="px",
        spacing=(None, None, None),
        patch=(16, 16, 1),
        normalise="zscore",
        threshold=0.3,
    )
    output = tmp_path / "slide_seg.tif"
    assert (
        main(["predict", str(tmp_path / "slide.tif"), "-o", str(output), "-m", str(bundle.path)])
        == 0
    )
    assert capsys.readouterr().out.strip() == str(output)
    monkeypatch.chdir(tmp_path)
    words = ["predict", "slide.tif", "-m", str(bundle.path)]
    assert main([*words, "--overwrite"]) == 0
    assert main([*words, "-o", "out/"]) == 0
    assert capsys.readouterr().out.split() == ["slide_seg.tif", str(Path("out/slide.tif"))]
    assert Path("out/slide.tif").read_bytes() == output.read_bytes()
    Image.new("RGB", (90, 90)).save("small.tif")
    assert main(["predict", "small.tif", "-m", str(bundle.path)]) == 0
    assert capsys.readouterr().out.strip() == "small_seg.png"
    with tifffile.TiffFile(output) as file:
        found = file.pages[0].asarray()
        assert file.pages[0].is_tiled
    # Blue of a pixel decides: its z-score is above 0.3 or not.
    blue = rows[..., 2].astype(np.float64)
    assert np.array_equal(found == 7, (blue - blue.mean()) / blue.std() > 0.3)
    assert set(np.unique(found)) == {0, 7}
    in_memory = Volume(rows.transpose(2, 1, 0)[..., None], np.eye(4), "px")
    assert np.array_equal(Predictor(bundle).predict(in_memory).array[0, ..., 0].T, found)
