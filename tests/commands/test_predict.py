from __future__ import annotations

import io
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.errors import InputError
from segkit.inference.files.channels import ModelChannels, model_channels
from segkit.inference.files.inputs import find_scans, scan_of_channels
from segkit.plans.plan import ChannelPlan, Plan
from segkit.progress import StatusLine

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
MODEL = ["-m", str(FROZEN)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: Path, size: int = 20, affine: object = None) -> Path:
    """Write a scan with two squares on two slices.

    The bright one (label 5) has 8 x 8 voxels, the dark one (label 300) 6 x 8.
    """
    array = np.zeros((size, size, 2), np.int16)
    array[2:10, 2:10], array[12:18, 2:10] = 100, -100
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(
        nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 5.0, 1.0]) if affine is None else affine),
        path,
    )
    return path


def variant(folder: Path, plan: Plan) -> Path:
    """Return the frozen network with another plan."""
    write_bundle(folder, plan, {"name": "variant"}, {"0": read_bundle(FROZEN).state("0")})
    return folder


def counts(path: Path) -> dict[int, int]:
    values, numbers = np.unique(np.asarray(nibabel.load(path).dataobj), return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


class Terminal(io.TextIOWrapper):
    """Text stream that standard output and standard error share, as on a terminal."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


@pytest.mark.parametrize("scans", [["a.nii"], ["a.nii", "b.nii"]])
def test_paths_do_not_continue_the_status_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str]
) -> None:
    for scan in scans:
        save(here / scan)
    monkeypatch.setattr(StatusLine, "SECONDS_ON_TERMINAL", 0.0)
    terminal = Terminal(io.BytesIO(), encoding="utf-8", newline="")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    assert main(["predict", *scans, *MODEL]) == 0
    text = terminal.text()
    assert f"scan 1 of {len(scans)}, " in text
    for scan in scans:
        assert f"\r\x1b[K{Path(scan).stem}_seg.nii.gz\n" in text


def test_one_scan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tilt = np.array([[1, 0, 0, 3], [0, 0.8, -0.6, 4], [0, 0.6, 0.8, 5], [0, 0, 0, 1]])
    affine = tilt @ np.diag([-1.0, 1.0, 5.0, 1.0])
    save(here / "patient.nii.gz", affine=affine)
    assert main(["predict", "patient.nii.gz", *MODEL]) == 0
    out, err = capsys.readouterr()
    assert out == "patient_seg.nii.gz\n"
    assert err.startswith("model fixture of 2026-11-24T11:35:45+00:00, hash ")
    assert np.allclose(nibabel.load("patient_seg.nii.gz").affine, affine)
    assert counts(here / "patient_seg.nii.gz") == {0: 576, 5: 128, 300: 96}


@pytest.mark.parametrize("name", ["o.nii", "o.nrrd", "o.mha"])
def test_formats(here: Path, name: str) -> None:
    save(here / "a.nii")
    assert main(["predict", "a.nii", "-o", name, *MODEL]) == 0
    assert sorted(np.unique(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(name)))) == [0, 5, 300]


def test_stats_preview_roi_and_blobs(here: Path) -> None:
    save(here / "a.nii")
    # 96 voxels of 5 mm3 are 480 mm3, 128 are 640 mm3.
    flags = [
        "--stats",
        "--preview",
        "--remove-small-blobs",
        "500",
        "--overlap",
        "0.3",
        "--threads",
        "1",
    ]
    assert main(["predict", "a.nii", "-o", "o.nii.gz", *flags, *MODEL]) == 0
    record = json.loads((here / "o.nii.gz.json").read_text())
    bright, dark = record["labels"]["bright"], record["labels"]["dark"]
    assert (bright["value"], bright["voxels"], bright["volume_ml"], bright["pieces"]) == (
        5,
        128,
        0.64,
        1,
    )
    assert bright["intensity"] == {"CT": {"mean": 100.0, "std": 0.0}}
    assert (dark["value"], dark["voxels"], dark["volume_ml"], dark["bounding_box"]) == (
        300,
        0,
        0.0,
        None,
    )
    assert not (here / "stats.csv").exists()  # one scan has its record
    assert record["model"][0]["hash"] == read_bundle(FROZEN).hash
    assert record["input"][0]["file"] == "a.nii"
    assert (record["overlap"], record["threads"], record["precision"], record["device"]) == (
        0.3,
        1,
        "float32",
        "cpu",
    )
    assert (
        record["precision_reason"] == "how well bfloat16 agrees with it is not known of the model"
    )
    assert record["tile_mismatch"] == 0
    assert set(record["seconds"]) == {"read", "prepare", "network", "restore", "write"}
    with Image.open("o_preview.png") as preview:
        assert preview.format == "PNG"
    assert (
        main(["predict", "a.nii", "-o", "dark.nii.gz", "--roi", "dark", "--fast", "--tta", *MODEL])
        == 0
    )
    assert counts(here / "dark.nii.gz") == {0: 704, 300: 96}


def test_an_engine_that_cannot_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(here / "a.nii")
    words = ["predict", "a.nii", "-o", "o.nii.gz", "--precision", "float16", *MODEL]
    assert main([*words, "--engine", "openvino"]) == 2
    assert (
        "--engine openvino computes in float32 or bfloat16, not in float16"
        in capsys.readouterr().err
    )
    assert main([*words, "--engine", "onnx"]) == 2
    assert "--engine onnx: must be auto, torch, openvino" in capsys.readouterr().err
    assert not (here / "o.nii.gz").exists()


def test_how_it_is_computed_is_recorded(here: Path) -> None:
    save(here / "a.nii")

    def record(*flags: str) -> tuple[str, str, float, bool]:
        assert (
            main(["predict", "a.nii", "-o", "o.nii.gz", "--stats", "--overwrite", *flags, *MODEL])
            == 0
        )
        assert counts(here / "o.nii.gz") == {0: 576, 5: 128, 300: 96}
        content = json.loads((here / "o.nii.gz.json").read_text())
        reasons.append(content["overlap_reason"])
        return content["device"], content["precision"], content["overlap"], content["tta"]

    reasons: list[str] = []
    assert record() == ("cpu", "float32", 0.5, False)
    assert record("--device", "cpu", "--precision", "bfloat16", "--tta") == (
        "cpu",
        "bfloat16",
        0.5,
        True,
    )
    assert record("--max-memory", "4GB", "--overlap", "0") == ("cpu", "float32", 0.0, False)
    assert record("--fast", "--tta") == ("cpu", "float32", 0.25, False)
    assert record("--overlap", "auto") == ("cpu", "float32", 0.5, False)
    assert reasons == [
        *["not auto"] * 3,
        "fast prediction",
        "the training has not measured Dice at other overlaps",
    ]


def test_folder_with_a_broken_scan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("c10.nii", "c2.nii.gz"):
        save(here / "in" / name)
    (here / "in" / "c3.nii").write_bytes(b"no scan")
    assert main(["predict", "in", "-o", "out", *MODEL]) == 5
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(Path("out/c2.nii.gz")), str(Path("out/c10.nii.gz"))]
    assert "1 of 3 scans failed" in err
    record = json.loads((here / "out" / "predictions.json").read_text())
    assert {case: entry["status"] for case, entry in record.items()} == {
        "c2": "done",
        "c3": "failed",
        "c10": "done",
    }
    assert "c3.nii: expected" in record["c3"]["message"]
    assert not (here / "out" / "c3.nii.gz").exists()


def test_a_missing_scan_among_many(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(here / "a.nii")
    assert main(["predict", "a.nii", "gone.nii", "-o", "out", *MODEL]) == 5
    assert "gone.nii: expected a file, found no such file" in capsys.readouterr().err
    assert counts(here / "out" / "a.nii.gz")[5] == 128


def test_a_single_broken_scan_has_its_own_code(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.nii").write_bytes(b"no scan")
    assert main(["predict", "a.nii", *MODEL]) == 3
    assert main(["predict", "missing.nii", *MODEL]) == 3
    assert "missing.nii: expected a file, found no such file" in capsys.readouterr().err


def two_channels(folder: Path, config: object = None) -> None:
    """Write the frozen network with the channels A and CT, of which it uses CT, and two cases.

    Case x has both channels, case y only CT.
    """
    plan = read_bundle(FROZEN).plan
    two = Plan(**{**plan.__dict__, "channels": (ChannelPlan("A", "none"), *plan.channels)})
    state = read_bundle(FROZEN).state("0")
    kernel = state["encoder.0.0.conv.weight"]
    state["encoder.0.0.conv.weight"] = kernel.new_zeros((4, 2, 3, 3))
    state["encoder.0.0.conv.weight"][:, 1] = kernel[:, 0]
    write_bundle(folder / "two", two, {}, {"0": state}, config)
    save(folder / "in" / "x_0001.nii")
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((20, 20, 2), np.int16), np.diag([1, 1, 5.0, 1])),
        folder / "in/x_0000.nii",
    )
    save(folder / "in" / "y_0001.nii")


def test_two_channels_by_name_folder_and_table(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_channels(here)
    given = ["--channel", "CT=in/x_0001.nii", "A=in/x_0000.nii", "-m", "two"]
    assert main(["predict", *given, "-o", "one.nii.gz"]) == 0
    assert counts(here / "one.nii.gz")[5] == 128
    assert main(["predict", "in", "-m", "two", "-o", "out"]) == 5
    assert counts(here / "out" / "x.nii.gz")[300] == 96
    assert (
        "expected the channels _0000 (A), _0001 (CT) of y, found _0001, without _0000 (A)"
        in capsys.readouterr().err
    )
    (here / "t.csv").write_text("case,image:CT,image:A\nz,in/x_0001.nii,in/x_0000.nii\n")
    assert main(["predict", "t.csv", "-m", "two", "-o", "tab"]) == 0
    assert counts(here / "tab" / "z.nii.gz")[5] == 128
    # As a spreadsheet writes it, and as training reads it.
    (here / "t.csv").write_text("case ; image:CT;image:A;\nw ;in/x_0001.nii;in/x_0000.nii;\n;;;\n")
    assert main(["predict", "t.csv", "-m", "two", "-o", "tab"]) == 0
    assert counts(here / "tab" / "w.nii.gz")[5] == 128
    assert main(["predict", "--channel", "A=in/x_0000.nii", "-m", "two"]) == 2
    assert "the model needs each of A, CT once, and CT is missing" in capsys.readouterr().err
    assert main(["predict", "in/x_0000.nii", "-m", "two"]) == 3
    assert "expected 2 channels (A, CT), found 1" in capsys.readouterr().err


def test_a_channel_may_be_missing_if_the_model_was_trained_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_channels(here, {"augment": {"channel_dropout": 0.2}})
    given = ["--channel", "CT=in/y_0001.nii", "-m", "two", "--stats"]
    assert main(["predict", *given, "-o", "one.nii.gz"]) == 0
    assert counts(here / "one.nii.gz") == {0: 576, 5: 128, 300: 96}
    assert (
        "channel A is left out; its value after normalization is 0, the mean"
        in capsys.readouterr().err
    )
    record = json.loads((here / "one.nii.gz.json").read_text())
    assert record["channels_left_out"] == ["A"]
    assert record["labels"]["dark"]["intensity"] == {"CT": {"mean": -100.0, "std": 0.0}}
    assert main(["predict", "in", "-m", "two", "-o", "out"]) == 0
    assert [counts(here / f"out/{name}.nii.gz")[300] for name in "xy"] == [96, 96]
    (here / "t.csv").write_text(
        "case,image:A,image:CT\nz,in/x_0000.nii,in/x_0001.nii\nw,,in/y_0001.nii\n"
    )
    assert main(["predict", "t.csv", "-m", "two", "-o", "tab"]) == 0
    (here / "u.csv").write_text("case,image:CT\nv,in/y_0001.nii\n")
    assert main(["predict", "u.csv", "-m", "two", "-o", "tab"]) == 0
    assert [counts(here / f"tab/{name}.nii.gz")[5] for name in "zwv"] == [128, 128, 128]


def test_a_missing_ct_is_filled_with_the_mean_of_the_training(here: Path) -> None:
    two_channels(here, {"augment": {"channel_dropout": 0.2}})
    channels = model_channels([read_bundle(here / "two")])
    (mean,) = [channel.mean for channel in read_bundle(FROZEN).plan.channels]
    scan = scan_of_channels(["A=in/x_0000.nii"], channels)
    assert scan.read().array[1].tolist() == np.full((20, 20, 2), mean, np.float32).tolist()
    assert main(["predict", "--channel", "A=in/x_0000.nii", "-m", "two", "-o", "o.nii.gz"]) == 0


def test_not_every_channel_may_be_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_channels(here, {"augment": {"channel_dropout": 0.2}})
    (here / "t.csv").write_text("case,image:A,image:CT\nz,,\n")
    assert main(["predict", "t.csv", "-m", "two", "-o", "tab"]) == 5
    assert (
        "and a file in every image column, found case 'z' with nothing under image:A, nothing "
        "under image:CT" in capsys.readouterr().err
    )
    assert main(["predict", "--channel", "B=in/x_0000.nii", "-m", "two"]) == 2
    assert "--channel B: the model has no channel B; it has: A, CT\n" in capsys.readouterr().err
    assert main(["predict", "--channel", "A=in/x_0000.nii", "A=b.nii", "-m", "two"]) == 2
    assert "--channel A: two files are given for it; give one\n" in capsys.readouterr().err
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((9, 9, 2, 2), np.int16), np.eye(4)), here / "both.nii"
    )
    assert main(["predict", "--channel", "A=both.nii", "-m", "two"]) == 3
    assert (
        "one channel, because others of this scan are left out, found 2 channels"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "config", [None, {}, {"augment": {"channel_dropout": 0.0}}, {"augment": 1}]
)
def test_other_models_need_every_channel(here: Path, config: object) -> None:
    two_channels(here, config)
    assert model_channels([read_bundle(here / "two")]).fills is None


def test_files_that_are_channels_of_one_case_each_where_no_case_is_complete(here: Path) -> None:
    channels = ModelChannels(("A", "CT"), (0.0, 40.0))
    for name in ("x_0001.nii", "y_0000.nii"):
        save(here / "in" / name)
    assert [(scan.id, scan.missing[0].name) for scan in find_scans([here / "in"], channels)] == [
        ("x", "A"),
        ("y", "CT"),
    ]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["y_0000.nii"], "found _0000, without _0001 (CT). Add the missing channel."),
        (
            ["y_0000.nii", "y_0001.nii", "y_0002.nii"],
            "found _0000, _0001, _0002. Remove the files that are not channels",
        ),
    ],
)
def test_a_channel_too_few_or_too_many_is_named(here: Path, files: list[str], found: str) -> None:
    for name in ("x_0000.nii", "x_0001.nii", *files):
        save(here / "in" / name)
    _, scan = find_scans([here / "in"], ModelChannels(("A", "CT")))
    with pytest.raises(
        InputError,
        match=re.escape(f"in: expected the channels _0000 (A), _0001 (CT) of y, {found}"),
    ):
        scan.read()


def test_regions_are_kept_and_cleaned_one_by_one(here: Path) -> None:
    # Without the network's background scores, dark voxels score low in the first region and high in
    # the second.
    bundle = read_bundle(FROZEN)
    state = bundle.state("0")
    state["head.weight"], state["head.bias"] = state["head.weight"][1:], state["head.bias"][1:]
    regions = {"bright": (5, 300), "dark": (300,)}
    write_bundle(here / "m", Plan(**{**bundle.plan.__dict__, "regions": regions}), {}, {"0": state})
    save(here / "a.nii")
    assert main(["predict", "a.nii", "-m", "m", "-o", "o.nii.gz", "--stats"]) == 0
    found = counts(here / "o.nii.gz")
    figures = json.loads((here / "o.nii.gz.json").read_text())["labels"]
    assert figures["bright"]["voxels"] == found[5] + found[300]
    assert figures["dark"]["voxels"] == found[300] > 0
    assert main(["predict", "a.nii", "-m", "m", "-o", "b.nii.gz", "--roi", "bright"]) == 0
    assert counts(here / "b.nii.gz")[5] == found[5] + found[300]
    smallest = str(5 * found[300] + 1)
    assert (
        main(["predict", "a.nii", "-m", "m", "-o", "c.nii.gz", "--remove-small-blobs", smallest])
        == 0
    )
    assert 300 not in counts(here / "c.nii.gz")


def test_uncertainty_beside_the_label_map_and_in_the_record(here: Path) -> None:
    save(here / "a.nii")
    assert main(["predict", "a.nii", *MODEL, "--uncertainty", "--stats"]) == 0
    image, labels = nibabel.load("a_seg_uncertainty.nii.gz"), nibabel.load("a_seg.nii.gz")
    assert image.shape == labels.shape
    assert np.array_equal(image.affine, nibabel.load("a.nii").affine)
    found, mask = np.asarray(image.dataobj), np.asarray(labels.dataobj)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    figures = json.loads(Path("a_seg.nii.gz.json").read_text())["labels"]
    for figure in figures.values():
        assert figure["certainty"] == pytest.approx(
            1 - found[mask == figure["value"]].mean(), abs=1e-5
        )
    # Neither is a scan of the folder.
    assert main(["predict", ".", *MODEL, "-o", "out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.nii.gz", "predictions.json"]


def test_numbers_of_a_single_channel_are_left_out(here: Path) -> None:
    save(here / "in" / "x_0000.nii")
    assert main(["predict", "in", "-o", "out", *MODEL]) == 0
    assert (here / "out" / "x.nii.gz").is_file()


def test_pictures(here: Path) -> None:
    plan = read_bundle(FROZEN).plan
    pixels = np.zeros((20, 30), np.uint8)
    pixels[2:10, 12:20] = 100
    Image.fromarray(pixels).save(here / "p.png")
    model = variant(
        here / "flat", Plan(**{**plan.__dict__, "unit": "px", "labels": {"bright": 255, "dark": 7}})
    )
    assert main(["predict", "p.png", "-m", str(model), "--preview", "--stats"]) == 0
    with Image.open("p_seg.png") as labels:
        assert np.array_equal(np.asarray(labels), np.where(pixels > 50, 255, 0))
    figures = json.loads((here / "p_seg.png.json").read_text())["labels"]["bright"]
    assert (figures["volume_px"], figures["centroid_px"]) == (64, [15.5, 5.5])
    assert not [key for key in figures if key.endswith(("_mm", "_ml"))]
    save(here / "a.nii")
    assert main(["predict", "a.nii", "-m", str(model)]) == 3


def test_without_a_model(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(here / "a.nii")
    monkeypatch.delenv("SEGKIT_MODEL", raising=False)
    assert main(["predict", "a.nii"]) == 2
    assert "no model was named. Give one with -m MODEL" in capsys.readouterr().err
    monkeypatch.setenv("SEGKIT_MODEL", str(FROZEN))
    assert main(["predict", "a.nii", "--json-log"]) == 0
    assert "model fixture" in json.loads(capsys.readouterr().err.splitlines()[0])["message"]


def test_out_of_memory(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(here / "a.nii")
    assert main(["predict", "a.nii", "--max-memory", "1KB", *MODEL]) == 4
    assert (
        "that are already in use, and the limit is 1.0 KB. Allow more, or crop the scan."
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no scan was given"),
        (["a.nii", "--channel", "CT=a.nii"], "either scans or --channel"),
        (["--channel", "CT"], "--channel CT: write NAME=FILE"),
        (["a.nii", "--roi", "bone"], "--roi 'bone': the model's labels are bright, dark"),
        (["a.nii", "--shard", "3/2"], "--shard 3/2: write I/N"),
        (["a.nii", "-o", "x.mgz"], "-o x.mgz: this format cannot be written"),
        (["a.nii", "b.nii", "-o", "x.nii.gz"], "-o x.nii.gz: give a folder"),
        (
            ["a.nii", "a.nii"],
            "two scans are called 'a' and would have the same output: a.nii and a.nii",
        ),
        (["a.nii", ""], "the name of a scan is empty"),
        (["a.nii", "-o", ""], "-o: the name is empty"),
        (["a.nii", "--roi", ""], "--roi '': the model's labels are bright, dark"),
        (["a.nii", "--threads", "0"], "0 is below 1"),
        (["a.nii", "--overlap", "half"], "half is neither a number nor auto"),
        (["a.nii", "--overlap", "1"], "1 is not in the range from 0 to below 1"),
        (["a.nii", "--remove-small-blobs", "-1"], "-1 is not a volume"),
        (["a.nii", "--max-memory", "lots"], "'lots' is not a size"),
        (["a.nii", "--device", "tpu"], "--device tpu"),
        (["a.nii", "--precision", "int8"], "--precision int8"),
        (["a.nii", "--overwrite", "--continue"], "not allowed with"),
    ],
)
def test_usage(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    save(here / "a.nii")
    save(here / "b.nii")
    assert main(["predict", *words, *MODEL]) == 2
    assert message in capsys.readouterr().err
    assert not list(here.glob("*_seg*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,image\nz,a.nii\n", "expected the columns case,image or case,image:CHANNEL"),
        ("case,image\n", "found no line below the first"),
    ],
)
def test_bad_tables(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (here / "t.csv").write_text(text)
    assert main(["predict", "t.csv", *MODEL]) == 3
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "case", "message"),
    [
        ("../z,a.nii", "t.csv, line 4", "expected a case id that can be a file's name"),
        ("..,a.nii", "t.csv, line 4", "expected a case id that can be a file's name"),
        ('"z\nz",a.nii', "t.csv, line 5", "found case 'z\\nz' with 'a.nii' in line 5"),
        (
            "z,",
            "z",
            "and a file in every image column, found case 'z' with nothing under image in line 4",
        ),
        (
            "z",
            "z",
            "and a file in every image column, found case 'z' with nothing under image in line 4",
        ),
        (",a.nii", "t.csv, line 4", "found case '' with 'a.nii' in line 4"),
        ("z,gone.nii", "z", "gone.nii: expected a file, found no such file"),
        ("z,t.csv", "z", "t.csv: expected one of the formats"),
        (
            "first,a.nii",
            "t.csv, line 4",
            "expected a case id of its own in every line, found 'first' again in line 4",
        ),
    ],
)
def test_a_bad_line_of_a_table_fails_alone(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, case: str, message: str
) -> None:
    save(here / "a.nii")
    (here / "t.csv").write_text(f"case,image\nfirst,a.nii\n\n{line}\nlast,a.nii\n")
    assert main(["predict", "t.csv", "-o", "out", *MODEL]) == 5
    out, err = capsys.readouterr()
    assert message in err
    assert out.splitlines() == [str(Path("out/first.nii.gz")), str(Path("out/last.nii.gz"))]
    record = json.loads((here / "out" / "predictions.json").read_text())
    assert {name: entry["status"] for name, entry in record.items()} == {
        "first": "done",
        case: "failed",
        "last": "done",
    }
    assert message in record[case]["message"]
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "first.nii.gz",
        "last.nii.gz",
        "predictions.json",
    ]


def test_an_empty_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "in").mkdir()
    assert main(["predict", "in", *MODEL]) == 3
    assert "in: expected scans (.nii.gz .nii .nrrd" in capsys.readouterr().err


def test_real_ct_on_its_own_grid(here: Path, data_root: Path) -> None:
    scan = data_root / "ct" / "example_ct_sm.nii.gz"
    assert main(["predict", str(scan), "-o", "ct.nii.gz", "--preview", "--fast", *MODEL]) == 0
    assert np.array_equal(nibabel.load("ct.nii.gz").affine, nibabel.load(scan).affine)
    assert nibabel.load("ct.nii.gz").shape == nibabel.load(scan).shape


def test_a_column_called_image_is_the_channel_of_that_name(here: Path) -> None:
    for name in ("a.nii", "b.nii"):
        save(here / name)
    (here / "t.csv").write_text("case,image,image:T1\nz,a.nii,b.nii\n")
    assert [
        scan.images for scan in find_scans([here / "t.csv"], ModelChannels(("image", "T1")))
    ] == [(here / "a.nii", here / "b.nii")]
    assert [scan.images for scan in find_scans([here / "t.csv"], ModelChannels(("T1",)))] == [
        (here / "b.nii",)
    ]
    assert [scan.images for scan in find_scans([here / "t.csv"], ModelChannels(("CT",)))] == [
        (here / "a.nii",)
    ]


def test_names_with_four_digits_are_channels_only_where_a_case_has_all_of_them(here: Path) -> None:
    for name in ("im_0001.png", "im_0002.png", "im_0003.png"):
        (here / "in").mkdir(exist_ok=True)
        (here / "in" / name).write_bytes(b"")
    rgb = ModelChannels(("red", "green", "blue"))
    assert [scan.id for scan in find_scans([here / "in"], rgb)] == ["im_0001", "im_0002", "im_0003"]
    for number in range(3):
        (here / "in" / f"x_000{number}.png").write_bytes(b"")
    assert [(scan.id, len(scan.images)) for scan in find_scans([here / "in"], rgb)] == [
        ("im", 3),
        ("x", 3),
    ]
