"""segkit predict from DICOM to DICOM; the frozen model gives 100 label 5 and -100 label 300."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.io import read_volume
from segkit.plans.plan import ChannelPlan, Scheme
from segkit.plans.plan_file import plan_from_dict

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
MODEL = ["-m", str(FROZEN)]
AXES = np.diag([1.0, 1.0, 5.0])
SKY_BLUE, ORANGE = (86, 180, 233), (230, 159, 0)
"""Colors of the first and second label of a model in every picture."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voxels() -> np.ndarray[Any, Any]:
    """Return a bright square of 8 x 8 and a dark one of 6 x 8 voxels on two slices."""
    array = np.zeros((20, 20, 2), np.int16)
    array[2:10, 2:10], array[12:18, 2:10] = 100, -100
    return array


def check(path: Path, place: Path) -> None:
    """Check that the label map has the scan's grid and the two squares."""
    found, scan = read_volume(path), read_volume(place)
    np.testing.assert_allclose(found.affine, scan.affine, atol=1e-4)
    np.testing.assert_array_equal(found.array == 5, scan.array == 100)
    np.testing.assert_array_equal(found.array == 300, scan.array == -100)


def test_folder(dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dicom.series(here / "study" / "deep", voxels(), axes=AXES, origin=(3, 4, 5), names=[1, 0])
    assert main(["predict", "study", *MODEL]) == 0
    assert capsys.readouterr().out == "study_seg.nii.gz\n"
    check(here / "study_seg.nii.gz", here / "study")


def test_other_formats_beside_dicom(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["predict", "study", "-o", "study/study_seg.nii.gz", *MODEL]) == 0
    assert main(["predict", "study", *MODEL]) == 0
    assert "warning" not in capsys.readouterr().err
    nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4)), here / "study" / "a.nii")
    assert main(["predict", "study", "-o", "o.nii", *MODEL]) == 0
    assert "study is a folder of DICOM: files such as a.nii are ignored" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["o.nii", "o.nrrd", "o.mha"])
def test_zip_to_other_formats(dicom: Any, here: Path, name: str) -> None:
    dicom.series(here / "study", voxels(), axes=AXES)
    with zipfile.ZipFile("study.zip", "w") as archive:
        for path in (here / "study").iterdir():
            archive.write(path, path.name)
    assert main(["predict", "study.zip", "-o", name, *MODEL]) == 0
    check(here / name, here / "study")


def test_segmentation_with_all_that_goes_beside_it(dicom: Any, here: Path) -> None:
    hd = pytest.importorskip("highdicom")
    dicom.series(here / "study", voxels(), axes=AXES)
    flags = ["--rtstruct", "--stats", "--preview", "--uncertainty"]
    assert main(["predict", "study", "-o", "o.dcm", *flags, *MODEL]) == 0
    beside = ["o.dcm.json", "o_preview.png", "o_rtstruct.dcm", "o_uncertainty.nii.gz"]
    assert all((here / name).is_file() for name in beside)
    seg = hd.seg.segread("o.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["bright", "dark"]
    assert seg.get_volume().array.sum(axis=(0, 1, 2)).tolist() == [128, 96]
    record = json.loads((here / "o.dcm.json").read_text())
    assert [Path(entry["file"]).name for entry in record["input"]] == ["000", "001"]
    assert record["labels"]["bright"]["volume_ml"] == 0.64
    rois = dicom.pydicom.dcmread("o_rtstruct.dcm").StructureSetROISequence
    assert [roi.ROIName for roi in rois] == ["bright", "dark"]


def coded(folder: Path) -> list[str]:
    """Write the frozen model with codes and a color of its label dark; return its flags."""
    anatomy = {
        "CodeValue": "49755003",
        "CodingSchemeDesignator": "SCT",
        "CodeMeaning": "Morphologically Abnormal",
    }
    tumor = {"CodeValue": "108369006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Neoplasm"}
    liver = {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
    right = {"CodeValue": "24028007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Right"}
    said = {
        "SegmentedPropertyCategoryCodeSequence": anatomy,
        "SegmentedPropertyTypeCodeSequence": tumor,
    }
    said |= {"SegmentedPropertyTypeModifierCodeSequence": right, "AnatomicRegionSequence": liver}
    said |= {"AnatomicRegionModifierSequence": right, "recommendedDisplayRGBValue": [0, 0, 255]}
    frozen = read_bundle(FROZEN)
    plan = plan_from_dict(frozen.plan.to_dict() | {"segments": {"dark": said}})
    write_bundle(folder, plan, {"name": "coded"}, {"0": frozen.state("0")})
    return ["-m", str(folder)]


@pytest.mark.parametrize("kind", [[], ["--labelmap"]])
def test_codes_and_colors_of_the_model(dicom: Any, here: Path, kind: list[str]) -> None:
    hd = pytest.importorskip("highdicom")
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["predict", "study", "-o", "o.dcm", "--rtstruct", *kind, *coded(here / "m")]) == 0
    bright, dark = list(hd.seg.segread("o.dcm").SegmentSequence)[-2:]
    assert bright.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    shown = [
        hd.color.CIELabColor.from_dicom_value(list(each.RecommendedDisplayCIELabValue))
        for each in (bright, dark)
    ]
    np.testing.assert_allclose(shown[0].to_rgb(), SKY_BLUE, atol=1)  # L*a*b* of 16 bits is rounded
    assert dark.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    kind_of = dark.SegmentedPropertyTypeCodeSequence[0]
    assert (kind_of.CodeValue, kind_of.CodingSchemeDesignator, kind_of.CodeMeaning) == (
        "108369006",
        "SCT",
        "Neoplasm",
    )
    assert kind_of.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert dark.AnatomicRegionSequence[0].CodeMeaning == "Liver"
    assert dark.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning == "Right"
    assert shown[1].to_rgb() == (0, 0, 255)
    colors = [
        roi.ROIDisplayColor for roi in dicom.pydicom.dcmread("o_rtstruct.dcm").ROIContourSequence
    ]
    assert colors == [[*SKY_BLUE], [0, 0, 255]]
    if shutil.which("dciodvfy") and not kind:  # it knows no LABELMAP
        done = subprocess.run(["dciodvfy", "o.dcm"], capture_output=True, text=True, check=False)
        assert [
            line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")
        ] == []


def test_codes_in_info_and_in_an_ensemble(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coded(here / "models" / "a")
    frozen = read_bundle(FROZEN)
    write_bundle(here / "models" / "b", frozen.plan, {"name": "bare"}, {"0": frozen.state("0")})
    assert main(["info", "models/a", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["segments"]["dark"]["AnatomicRegionSequence"]["CodeMeaning"] == "Liver"
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["predict", "study", "-m", "models"]) == 0


def test_labelmap_keeps_the_values(dicom: Any, here: Path) -> None:
    hd = pytest.importorskip("highdicom")
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["predict", "study", "-o", "o.dcm", "--labelmap", *MODEL]) == 0
    seg = hd.seg.segread("o.dcm")
    assert seg.SegmentationType == "LABELMAP"
    assert sorted(np.unique(seg.pixel_array)) == [0, 5, 300]


def test_tilted_gantry(dicom: Any, here: Path) -> None:
    """A tilt of 15 degrees is removed for the network and restored in every format."""
    axes = AXES.copy()
    axes[1, 2] = 5 * np.tan(np.radians(15))
    dicom.series(here / "tilted", voxels(), axes=axes)
    assert main(["predict", "tilted", "-o", "o.nii.gz", "--stats", *MODEL]) == 0
    image = nibabel.load("o.nii.gz")
    np.testing.assert_allclose(image.affine, read_volume(here / "tilted").affine, atol=1e-6)
    assert int(image.header["qform_code"]) == 0
    np.testing.assert_array_equal(np.asarray(image.dataobj) == 5, voxels() == 100)
    # The volume counts 5 mm between slices, not the longer way along the tilt.
    assert json.loads((here / "o.nii.gz.json").read_text())["labels"]["bright"]["volume_ml"] == 0.64
    # 640 mm3, though the product of the edges makes it 663.
    for least, left in ((650, 0), (640, 128)):
        words = ["--overwrite", "--remove-small-blobs", str(least)]
        assert main(["predict", "tilted", "-o", "o.nii.gz", *words, *MODEL]) == 0
        assert np.count_nonzero(np.asarray(nibabel.load("o.nii.gz").dataobj) == 5) == left
    assert main(["predict", "tilted", "-o", "o.nrrd", *MODEL]) == 0
    nrrd = SimpleITK.ReadImage("o.nrrd")
    place = nrrd.TransformIndexToPhysicalPoint((1, 2, 1))
    np.testing.assert_allclose(place, axes @ (1, 2, 1), atol=1e-5)


def test_choice_of_series(dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dicom.series(here / "study" / "a", voxels(), axes=AXES, series="1.1", SeriesDescription="Early")
    dicom.series(
        here / "study" / "b",
        voxels(),
        axes=AXES,
        series="1.2",
        SeriesDescription="Late",
        SeriesNumber=2,
    )
    assert main(["predict", "study", *MODEL]) == 2
    assert "  2  CT, series 2, 'Late', 2 images of 20 x 20, 1.2" in capsys.readouterr().err
    assert main(["predict", "study", "--series", "late", *MODEL]) == 0
    capsys.readouterr()
    assert main(["predict", "study", "--series", "all", "-o", "out", *MODEL]) == 0
    assert capsys.readouterr().out.split() == ["out/a.nii.gz", "out/b.nii.gz"]
    assert set(json.loads((here / "out" / "predictions.json").read_text())) == {"a", "b"}


def test_several_folders_are_several_scans(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom.series(here / "a", voxels(), axes=AXES)
    dicom.series(here / "b", voxels(), axes=AXES, PixelSpacing=None)
    assert main(["predict", "a", "b", "-o", "out", *MODEL]) == 5
    out, err = capsys.readouterr()
    assert out == "out/a.nii.gz\n"
    assert "b: expected PixelSpacing, found none" in err


def patients(dicom: Any, here: Path) -> None:
    """Write three studies: p1 with a scan and a localizer, p2 without PixelSpacing, p3 as a zip."""
    for number, name in enumerate(["p1/scan", "p1/scout", "p2", "p3"], start=1):
        own = {"StudyInstanceUID": f"1.{name[1]}", "series": f"1.9.{number}"}
        own |= {"PixelSpacing": None} if name == "p2" else {}
        dicom.series(
            here / "in" / name, voxels()[..., : 1 if "scout" in name else 2], axes=AXES, **own
        )
    with zipfile.ZipFile("in/p3.zip", "w") as archive:
        for path in sorted((here / "in" / "p3").iterdir()):
            archive.write(path, path.name)
            path.unlink()
    (here / "in" / "p3").rmdir()


def outcomes(path: str) -> dict[str, str]:
    return {case: entry["status"] for case, entry in json.loads(Path(path).read_text()).items()}


def test_a_folder_of_patients_to_a_segmentation_each(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hd = pytest.importorskip("highdicom")
    patients(dicom, here)
    words = ["predict", "in", "-o", "out", "--dicom-seg", "--rtstruct", *MODEL]
    assert main(words) == 5
    out, err = capsys.readouterr()
    assert out.split() == ["out/p1.dcm", "out/p3.dcm"]
    assert f"{Path('in/p2')}: expected PixelSpacing, found none" in err
    assert outcomes("out/predictions.json") == {"p1": "done", "p2": "failed", "p3": "done"}
    for name, study in (("p1", "1.1"), ("p3", "1.3")):
        seg = hd.seg.segread(f"out/{name}.dcm")
        assert (seg.StudyInstanceUID, seg.get_volume().array.sum()) == (study, 224)
        assert dicom.pydicom.dcmread(f"out/{name}_rtstruct.dcm").StudyInstanceUID == study
    before = (here / "out" / "p1.dcm").read_bytes()
    dicom.series(here / "in" / "p2", voxels(), axes=AXES, StudyInstanceUID="1.2", series="1.9.3")
    assert main(words) == 2
    assert f"{Path('out/p1.dcm')} exists already" in capsys.readouterr().err
    assert main([*words, "--continue"]) == 0
    assert outcomes("out/predictions.json") == {"p1": "skipped", "p2": "done", "p3": "skipped"}
    assert (here / "out" / "p1.dcm").read_bytes() == before


def test_a_folder_of_patients_without_an_output(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patients(dicom, here)
    monkeypatch.chdir(here / "in")
    for flags, ending in ([], ".nii.gz"), (["--dicom-seg"], ".dcm"):
        assert main(["predict", ".", *flags, *MODEL]) == 5
        assert capsys.readouterr().out.split() == [f"p1_seg{ending}", f"p3_seg{ending}"]
    assert main(["predict", ".", "--continue", *MODEL]) == 5
    assert outcomes("predictions.json") == {"p1": "skipped", "p2": "failed", "p3": "skipped"}


def test_every_series_of_many_patients(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patients(dicom, here)
    assert main(["predict", "in", "--series", "all", "-o", "out", "--dicom-seg", *MODEL]) == 5
    assert capsys.readouterr().out.split() == ["out/p1_scan.dcm", "out/p1_scout.dcm", "out/p3.dcm"]
    assert outcomes("out/predictions.json") == {
        "p1_scan": "done",
        "p1_scout": "done",
        "p2": "failed",
        "p3": "done",
    }


def test_a_series_is_chosen_in_each_study(dicom: Any, here: Path) -> None:
    for patient, names in (
        ("p1", ("Early", "Late")),
        ("p2", ("Late", "Later")),
        ("p3", ("Early", "Later!")),
    ):
        for name in names:
            own = {"StudyInstanceUID": f"1.{patient[1]}", "series": f"1.{patient[1]}.{len(name)}"}
            dicom.series(
                here / "in" / patient / name, voxels(), axes=AXES, SeriesDescription=name, **own
            )
    assert main(["predict", "in", "--series", "late", "-o", "out", *MODEL]) == 5
    assert outcomes("out/predictions.json") == {"p1": "done", "p2": "done", "p3": "failed"}


def test_one_series_as_dicom_seg_without_a_name(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["predict", "study", "--dicom-seg", "--labelmap", *MODEL]) == 0
    assert capsys.readouterr().out == "study_seg.dcm\n"
    (here / "t.csv").write_text("case,image\na,study\nb,\n")
    assert main(["predict", "t.csv", "--dicom-seg", "-o", "out", *MODEL]) == 5
    assert outcomes("out/predictions.json") == {"a": "done", "b": "failed"}


def test_channels_from_folders(dicom: Any, here: Path) -> None:
    dicom.series(here / "a", voxels(), axes=AXES)
    channel = read_bundle(FROZEN).plan.channels[0].name
    assert main(["predict", "--channel", f"{channel}=a", "-o", "o.dcm", "--stats", *MODEL]) == 0
    assert len(json.loads((here / "o.dcm.json").read_text())["input"]) == 2


def test_image_is_never_overwritten(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom.series(here / "study", voxels(), axes=AXES)
    image = (here / "study" / "000").rename(here / "study" / "x.dcm")
    before = image.read_bytes()
    assert main(["predict", "study", "-o", "study/x.dcm", "--overwrite", *MODEL]) == 2
    assert "study/x.dcm is an input and is never overwritten" in capsys.readouterr().err
    assert image.read_bytes() == before
    assert main(["predict", "study", "-o", "study/seg.dcm", *MODEL]) == 0
    assert main(["predict", "study", "-o", "study/seg.dcm", "--overwrite", *MODEL]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["scan.nii", "-o", "o.dcm"],
            "DICOM is written for scans that are DICOM, and scan.nii is not",
        ),
        (
            ["scan.nii", "--rtstruct"],
            "scan_seg_rtstruct.dcm: DICOM is written for scans that are DICOM",
        ),
        (["scan.nii", "--labelmap"], "--labelmap is about DICOM-SEG, and none is written"),
        (
            ["scan.nii", "--dicom-seg"],
            "scan_seg.dcm: DICOM is written for scans that are DICOM, and scan.nii is not",
        ),
        (
            ["scan.nii", "--dicom-seg", "-o", "o.nii"],
            "-o o.nii: with --dicom-seg its suffix is .dcm",
        ),
        (["scan.nii", "--series", "1"], "--series 1: scan.nii is not DICOM"),
        (
            ["--channel", "image=scan.nii", "--series", "1"],
            "--series chooses among the series of one DICOM folder",
        ),
    ],
)
def test_dicom_words_for_other_scans(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4)), here / "scan.nii")
    assert main(["predict", *words, *MODEL]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheme", "name", "modality", "lowest", "message"),
    [
        (
            "ct",
            "image",
            "MR",
            -100,
            "its modality is MR, and the model was trained on CT (channel image)",
        ),
        ("ct", "image", "MR", 0, "the result may mean nothing"),
        ("ct", "image", "CT", 0, "channel image: the values go from 0 to"),
        ("ct", "image", "CT", -100, ""),
        (
            "none",
            "T1w",
            "CT",
            -100,
            "its modality is CT, and the model was trained on MR (channel T1w)",
        ),
        ("none", "image", "PT", -100, ""),
    ],
)
def test_modality_that_is_not_the_models(
    dicom: Any,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    scheme: Scheme,
    name: str,
    modality: str,
    lowest: int,
    message: str,
) -> None:
    frozen = read_bundle(FROZEN)
    channel = ChannelPlan(name, scheme, lower=-200.0, upper=200.0, mean=0.0, std=1.0)
    plan = dataclasses.replace(frozen.plan, channels=(channel,))
    write_bundle(here / "m", plan, {"name": "variant"}, {"0": frozen.state("0")})
    dicom.series(here / "study", voxels().clip(lowest), axes=AXES, Modality=modality)
    assert main(["predict", "study", "-m", "m", "--stats", "-o", "o.nii.gz"]) == 0
    err = capsys.readouterr().err
    assert message in err
    assert err.count("warning") == bool(message)
    (record,) = here.glob("o*.json")
    warnings = json.loads(record.read_text())["scan_warnings"]
    assert message in "".join(warnings)
    assert len(warnings) == bool(message)


def test_info(dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dicom.series(here / "study", voxels(), axes=AXES)
    assert main(["info", "study", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["shape"], facts["spacing"], facts["orientation"]) == (
        [20, 20, 2],
        [1, 1, 5],
        "LPS",
    )


def test_two_slice_thicknesses(dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tilted slices of 1 mm and 4 mm: DICOM keeps them; NIfTI has even planes, with a note."""
    heights, tan = [0, 1, 2, 3, 7, 11, 15], np.tan(np.radians(15))
    for number, height in enumerate(heights):
        pixels = np.zeros((20, 20), np.int16)
        pixels[4:16, 3:9] = 100
        dicom.file(
            here / "head" / f"{number}",
            pixels,
            number=number,
            ImagePositionPatient=[0, tan * height, height],
        )
    assert main(["predict", "head", "-o", "o.nii.gz", "--stats", *MODEL]) == 0
    said = capsys.readouterr().err
    expected = (
        "its 7 slices are of more than one thickness; o.nii.gz and o.nii.gz.json have "
        "16 evenly spaced planes instead, 1 mm"
    )
    assert expected in said
    image = nibabel.load("o.nii.gz")
    assert image.shape == (20, 20, 16)
    assert (np.asarray(image.dataobj)[3:9, 4:16] == 5).all()
    # 6 x 12 pixels of 1 mm2 on 16 planes of 1 mm.
    assert (
        json.loads((here / "o.nii.gz.json").read_text())["labels"]["bright"]["volume_ml"] == 1.152
    )
    assert main(["predict", "head", "-o", "o.dcm", "--rtstruct", *MODEL]) == 0
    assert "evenly spaced planes instead, 1 mm" not in capsys.readouterr().err
    seg = dicom.pydicom.dcmread("o.dcm")
    assert seg.pixel_array[:, 4:16, 3:9].all()
    assert np.count_nonzero(seg.pixel_array) == 7 * 6 * 12
    at = sorted(
        frame.PlanePositionSequence[0].ImagePositionPatient[2]
        for frame in seg.PerFrameFunctionalGroupsSequence
    )
    assert at == heights


def test_a_label_keeps_its_color_when_others_are_left_out(dicom: Any, here: Path) -> None:
    """The second label is orange in DICOM-SEG, RTSTRUCT and preview, even without the first."""
    hd = pytest.importorskip("highdicom")
    dicom.series(here / "study", voxels(), axes=AXES)
    assert (
        main(
            ["predict", "study", "-o", "o.dcm", "--rtstruct", "--preview", "--roi", "dark", *MODEL]
        )
        == 0
    )
    (dark,) = hd.seg.segread("o.dcm").SegmentSequence
    shown = hd.color.CIELabColor.from_dicom_value(list(dark.RecommendedDisplayCIELabValue)).to_rgb()
    np.testing.assert_allclose(shown, ORANGE, atol=1)
    assert dicom.pydicom.dcmread("o_rtstruct.dcm").ROIContourSequence[0].ROIDisplayColor == [
        *ORANGE
    ]
    with Image.open("o_preview.png") as picture:
        assert (np.asarray(picture) == ORANGE).all(axis=2).any()
