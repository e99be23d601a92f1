"""The outputs of segkit predict, and the files that it never overwrites."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.plans.plan import Plan
from segkit.plans.ranges import ChannelRange, DataRanges

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
FullDisk = Callable[[int], AbstractContextManager[None]]
MODEL = ["-m", str(FROZEN)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str) -> bytes:
    """Write a scan in HU with a bright square of 8 x 8 voxels on two slices; return its bytes."""
    array = np.zeros((20, 20, 2), np.int16)
    array[2:10, 2:10] = 100
    array[15, 15] = -100
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), name)
    return Path(name).read_bytes()


def bright(path: str) -> int:
    return int(np.count_nonzero(np.asarray(nibabel.load(path).dataobj) == 5))


def outcomes(path: str) -> dict[str, str]:
    return {case: entry["status"] for case, entry in json.loads(Path(path).read_text()).items()}


def stats(path: str) -> dict[str, int]:
    """Return the number of voxels of the bright label, by case."""
    rows = csv.DictReader(Path(path).read_text().splitlines())
    return {row["case"]: int(row["voxels"]) for row in rows if row["label"] == "bright"}


def test_existing_outputs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save("in/a.nii")
    save("in/b.nii")
    (here / "out").mkdir()
    (here / "out" / "a.nii.gz").write_bytes(b"mine")
    assert main(["predict", "in", "-o", "out", *MODEL]) == 2
    assert "a.nii.gz exists already; --overwrite replaces it" in capsys.readouterr().err
    assert not (here / "out" / "b.nii.gz").exists()
    assert main(["predict", "in", "-o", "out", "--continue", *MODEL]) == 0
    assert capsys.readouterr().out.split() == [str(Path("out/a.nii.gz")), str(Path("out/b.nii.gz"))]
    assert (here / "out" / "a.nii.gz").read_bytes() == b"mine"
    assert outcomes("out/predictions.json") == {"a": "skipped", "b": "done"}
    assert main(["predict", "in", "-o", "out", "--overwrite", *MODEL]) == 0
    assert bright("out/a.nii.gz") == 128
    assert main(["predict", "in/a.nii", "-o", "out/a.nii.gz", "--continue", *MODEL]) == 0


def test_continue_never_replaces_a_label_map_for_what_is_missing_beside_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("in/a.nii")
    assert main(["predict", "in", "-o", "out", "--preview", *MODEL]) == 0
    (here / "out" / "a.nii.gz").write_bytes(b"corrected by hand")
    assert main(["predict", "in", "-o", "out", "--continue", "--stats", "--preview", *MODEL]) == 0
    assert (here / "out" / "a.nii.gz").read_bytes() == b"corrected by hand"
    assert outcomes("out/predictions.json") == {"a": "skipped"}
    said = f"{Path('out/a.nii.gz')} is left as it is, without a.json; --overwrite predicts it again"
    assert said in capsys.readouterr().err


def test_the_record_of_an_earlier_label_map_goes_with_it(here: Path) -> None:
    save("in/a.nii")
    save("in/b.nii")
    assert main(["predict", "in", "-o", "out", "--stats", *MODEL]) == 0
    assert main(["predict", "in/a.nii", "-o", "out/a.nii.gz", "--overwrite", *MODEL]) == 0
    assert not (here / "out" / "a.json").exists()
    assert main(["predict", "in", "-o", "out", "--overwrite", "--shard", "1/2", *MODEL]) == 0
    assert main(["predict", "in/a.nii", "-o", "out/", "--overwrite", *MODEL]) == 0
    assert (here / "out" / "b.json").exists()
    assert stats("out/stats.csv") == {"a": 128, "b": 128}
    assert main(["predict", "in", "-o", "out", "--overwrite", *MODEL]) == 0
    assert not (here / "out" / "b.json").exists()
    assert stats("out/stats.csv") == {}


@pytest.mark.parametrize("content", ['{"mine": 1}', "[]", "{"])
def test_another_file_with_the_name_of_a_record_stays(here: Path, content: str) -> None:
    save("a.nii")
    (here / "o.nii.gz.json").write_text(content)
    assert main(["predict", "a.nii", "-o", "o.nii.gz", *MODEL]) == 0
    assert (here / "o.nii.gz.json").read_text() == content


def test_label_maps_beside_their_scans_are_no_scans(here: Path) -> None:
    for name in ("a.nii", "b.nii"):
        save(name)
    assert main(["predict", ".", "--shard", "1/2", "--preview", *MODEL]) == 0
    assert main(["predict", ".", "--shard", "2/2", "--preview", *MODEL]) == 0
    assert main(["predict", ".", "--continue", *MODEL]) == 0
    assert sorted(path.name for path in here.glob("*.nii.gz")) == ["a_seg.nii.gz", "b_seg.nii.gz"]
    assert outcomes("predictions.json") == {"a": "skipped", "b": "skipped"}


def test_predictions_json_keeps_the_scans_of_before(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("one/a.nii")
    save("two/b.nii")
    for folder in ("one", "two"):
        assert main(["predict", folder, "-o", "out", *MODEL]) == 0
    assert outcomes("out/predictions.json") == {"a": "done", "b": "done"}
    for content in ("[]", "{", '{"a": 1}'):
        (here / "out" / "predictions.json").write_text(content)
        assert main(["predict", "two", "-o", "out", "--overwrite", *MODEL]) == 2
        assert (
            "predictions.json exists and is not a record of predictions; move it"
            in capsys.readouterr().err
        )
        assert (here / "out" / "predictions.json").read_text() == content


def test_one_table_of_figures_for_many_scans(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.nii", "in/b.nii", "more/c.nii"):
        save(name)
    (here / "in" / "broken.nii").write_bytes(b"no scan")
    words = ["--stats", "--continue", *MODEL]
    assert main(["predict", "in/a.nii", "in/broken.nii", "-o", "out", *words]) == 5
    assert stats("out/stats.csv") == {"a": 128}
    assert main(["predict", "in", "-o", "out", *words]) == 5
    assert main(["predict", "more", "-o", "out", *words]) == 0
    assert stats("out/stats.csv") == {"a": 128, "b": 128, "c": 128}
    assert main(["predict", "in", "-o", "parts", "--shard", "2/2", *words]) == 0
    assert stats("parts/stats-2-of-2.csv") == {"b": 128}
    (here / "out" / "stats.csv").write_text("mine")
    capsys.readouterr()
    assert main(["predict", "in", "-o", "out", *words]) == 2
    assert (
        "stats.csv exists and is not a table of label figures; move it" in capsys.readouterr().err
    )
    assert (here / "out" / "stats.csv").read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are always text")
def test_a_name_that_is_not_utf_8_does_not_end_the_batch(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    save("in/z.nii")
    os.rename(b"in/z.nii", b"in/M\xfcller.nii")
    save("in/z.nii")
    assert main(["predict", "in", "-o", "out", "--stats", *MODEL]) == 0
    assert b"out/M\xfcller.nii.gz\n" in capfdbinary.readouterr().out
    assert list(outcomes("out/predictions.json").values()) == ["done", "done"]
    assert stats("out/stats.csv") == {"M\\udcfcller": 128, "z": 128}


def test_existing_pictures_and_records_are_refused_too(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.nii")
    for flag, name in (("--preview", "o_preview.png"), ("--stats", "o.nii.gz.json")):
        (here / name).write_bytes(b"mine")
        assert main(["predict", "a.nii", "-o", "o.nii.gz", flag, *MODEL]) == 2
        assert f"{name} exists already" in capsys.readouterr().err
        assert (here / name).read_bytes() == b"mine"


@pytest.mark.parametrize(
    "output", ["a.nii.gz", ".", "./a.nii.gz", "link.nii.gz", "sub/up/a.nii.gz", "../here/a.nii.gz"]
)
def test_an_input_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (tmp_path / "here" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    content = save("a.nii.gz")
    try:
        Path("link.nii.gz").symlink_to("a.nii.gz")
        Path("sub/up").symlink_to("..")
    except OSError:
        pytest.skip("this system makes no symbolic links")
    for scan in ("a.nii.gz", "link.nii.gz", str(Path("a.nii.gz").absolute())):
        named = Path(scan).name if output == "." else output
        if output != "." or named == "a.nii.gz":
            assert main(["predict", scan, "-o", output, "--overwrite", *MODEL]) == 2
            assert "is an input and is never overwritten" in capsys.readouterr().err
    assert Path("a.nii.gz").read_bytes() == content


def test_an_mr_for_a_model_of_ct_is_said_in_the_log_the_record_and_the_table(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = read_bundle(FROZEN)
    air, anything = ChannelRange((-1024.0, -990.0), (100.0, 3071.0)), ((1.0, 1000.0),) * 3
    training = DataRanges(12, anything, anything, (air,), {})  # type: ignore[arg-type]
    write_bundle(
        "ct", replace(frozen.plan, training=training), {"name": "ct"}, {"0": frozen.state("0")}
    )
    save("in/a.nii")
    assert main(["predict", "in", "-o", "out", "--stats", "-m", "ct"]) == 0
    expected = (
        "channel CT: the lowest value is -100; the training data reach -1024 to -990. Is this "
        "scan a CT"
    )
    assert expected in capsys.readouterr().err
    (warning,) = json.loads(Path("out/a.json").read_text())["scan_warnings"]
    assert warning.startswith(expected)
    rows = list(csv.DictReader(Path("out/stats.csv").read_text().splitlines()))
    assert {row["scan_warnings"] for row in rows} == {warning}


def test_an_input_is_not_overwritten_by_a_picture(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = read_bundle(FROZEN).plan
    flat = Plan(**{**plan.__dict__, "unit": "px", "labels": {"bright": 255, "dark": 7}})
    write_bundle("flat", flat, {"name": "flat"}, {"0": read_bundle(FROZEN).state("0")})
    for name in ("in/p.png", "in/p_preview.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("L", (20, 20)).save(name)
    words = ["predict", "in/p.png", "-o", "in/p.tif", "-m", "flat"]
    assert (
        main([*words[:1], "in/p.png", "in/p_preview.png", "-o", "out", "--preview", "-m", "flat"])
        == 2
    )
    assert "would be written for two scans" in capsys.readouterr().err
    assert main([*words, "--preview"]) == 2  # it exists
    assert (
        main(
            [
                "predict",
                "in/p_preview.png",
                "-o",
                "in/p.tif",
                "-m",
                "flat",
                "--preview",
                "--overwrite",
            ]
        )
        == 2
    )
    assert "p_preview.png is an input and is never overwritten" in capsys.readouterr().err
    assert main(words) == 0


def test_shards(here: Path) -> None:
    for name in "abc":
        save(f"in/{name}.nii")
    assert main(["predict", "in", "-o", "out", "--shard", "2/2", *MODEL]) == 0
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "b.nii.gz",
        "predictions-2-of-2.json",
    ]
    assert main(["predict", "in", "-o", "out", "--shard", "4/4", *MODEL]) == 0
    assert outcomes("out/predictions-4-of-4.json") == {}
    assert main(["predict", "in", "-o", "padded", "--shard", "02/02", *MODEL]) == 0
    assert (here / "padded" / "predictions-02-of-02.json").is_file()


@pytest.mark.parametrize("output", ["out", "out/", "out.v1/", "deep/er/"])
def test_a_folder_for_one_scan(here: Path, output: str) -> None:
    save("a.nii")
    assert main(["predict", "a.nii", "-o", output, *MODEL]) == 0
    assert bright(f"{output}/a.nii.gz") == 128


def test_a_folder_with_dots_for_many(here: Path) -> None:
    save("in/a.nii")
    assert main(["predict", "in", "-o", "out.v1", *MODEL]) == 0
    assert bright("out.v1/a.nii.gz") == 128


@pytest.mark.parametrize("name", ["ö ü/ß (1),[2]=x.nii.gz", "A.NII.GZ", "-o.nii.gz"])
def test_names_of_any_kind(here: Path, name: str) -> None:
    save(f"./{name}")
    assert main(["predict", f"./{name}", "-o", f"./out/{name}", *MODEL]) == 0
    assert bright(f"./out/{name}") == 128


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("a.nii/o.nii.gz", "expected a place that can be written to, found that a.nii is a file"),
        (
            f"{'n' * 300}.nii.gz",
            "expected a place that can be written to, found file name too long",
        ),
        (
            "o.png",
            "expected one plane, gray (uint8, uint16) or RGB of uint8, found the shape 1 x 20 x "
            "20 x 2",
        ),
    ],
)
def test_outputs_that_cannot_be(
    here: Path, capsys: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    save("a.nii")
    assert main(["predict", "a.nii", "-o", output, *MODEL]) == 3
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert [path.name for path in here.iterdir()] == ["a.nii"]


def test_a_folder_that_may_not_be_written_to(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.nii")
    (here / "locked").mkdir(mode=0o555)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert main(["predict", "a.nii", "-o", "locked/o.nii.gz", *MODEL]) == 3
    assert "found that locked may not be written to" in capsys.readouterr().err


def test_a_full_disk_is_a_failed_case(
    here: Path, full_disk: FullDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    save("in/a.nii")
    noise = np.random.default_rng(0).integers(0, 2, (50, 50, 9)).astype(np.int16) * 200
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), "in/b.nii")
    with full_disk(1000):
        assert main(["predict", "in", "-o", "out", *MODEL]) == 5
    assert outcomes("out/predictions.json") == {"a": "done", "b": "failed"}
    assert (
        "b.nii.gz: expected a place that can be written to, found file too large"
        in capsys.readouterr().err
    )
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "a.nii.gz",
        "predictions.json",
    ]
