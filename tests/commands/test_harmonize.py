"""The command segkit harmonize, on small scans of two scanners and on tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.cli import main
from segkit.commands.harmonize import ACTIONS
from tools.reference import files_without_row

GAINS = {"a": 1.0, "b": 100.0}
AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -3], [0, 0, 3, 7], [0, 0, 0, 1]])


def write_scan(path: Path, seed: int, gain: float) -> None:
    voxels = gain * np.random.default_rng(seed).gamma(4.0, size=(8, 7, 6))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), AFFINE), path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a dataset of 24 scans, of which the last four validate fold 0."""
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((8, 7, 6), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    rows = []
    for number in range(24):
        scanner, split = "ab"[number % 2], 0 if number >= 20 else 1
        write_scan(Path(f"images/c{number:02d}.nii"), number, GAINS[scanner])
        rows.append([f"c{number:02d}", f"images/c{number:02d}.nii", "seg.nii", scanner, split])
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), "seg.nii")
    with Path("cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["case", "image", "label", "group", "split"], *rows])
    return tmp_path


def table_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return [*csv.DictReader(file)]


def voxels_of(path: str) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


# -- the verb --------------------------------------------------------------------------------------


def test_the_actions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harmonize"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in ACTIONS)
    assert main(["harmonize", "fitt"]) == 2
    assert "unknown action 'fitt'. Did you mean fit?" in capsys.readouterr().err
    assert main(["harmonize", "--fitt"]) == 2


# -- groups ----------------------------------------------------------------------------------------


def test_discovered_groups_are_those_of_the_scanners(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "discover", "cases.csv", "-o", "groups.csv"]) == 0
    assert capsys.readouterr().out.count("12  ") == 2
    found = {row["case"]: row["group"] for row in table_of("groups.csv")}
    names = {"a": "group_1", "b": "group_2"}
    assert found == {row["case"]: names[row["group"]] for row in table_of("cases.csv")}
    assert main(["harmonize", "discover", "cases.csv", "-o", "groups.csv"]) == 2
    assert "groups.csv exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "found"),
    [
        (["--groups", "none.csv"], 3, "none.csv: expected CSV in UTF-8"),
        (["--groups", "few.csv"], 3, "expected a group for every training case, found none for"),
        (["--groups", "few.csv", "--column", "scanner"], 3, "expected the columns case and scann"),
        (["--groups", "two.csv"], 3, "found 'x' and 'y' for c00"),
        (["--groups", "dicom"], 3, "expected a group for every training case"),
        (["--groups", "dicom", "--tags", "PatientName"], 2, "unknown attribute 'PatientName'"),
        (["--tags", "StationName"], 2, "--tags is for --groups dicom"),
        (["--column", "scanner"], 2, "--column names a column of the CSV file of --groups"),
        (["--groups", "dicom", "--column", "x"], 2, "--column names a column of the CSV file"),
        (["--groups", "empty.csv"], 3, "expected the group of the training cases, found only emp"),
        (["--fold", "first"], 2, "--fold first: give the number of a fold, or all"),
        (["--fold", ""], 2, "give the number of a fold, or all"),
        (["--fold", "7"], 2, "this dataset has the folds 0 to 1"),
        (["--covariates", "age"], 2, "--covariates is for --method combat, not for spline"),
    ],
)
def test_groups_and_folds_that_cannot_be_used(
    flags: list[str], code: int, found: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("few.csv").write_text("case,group\nc00,x\n")
    Path("two.csv").write_text("case,group\nc00,x\nc00,y\n")
    Path("empty.csv").write_text("\n".join(["case,group", *(f"c{n:02d}," for n in range(24))]))
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", *flags]) == code
    assert found in capsys.readouterr().err
    assert not Path("h.json").exists()


def test_cases_that_discover_puts_in_no_group_are_left_out_of_the_fit(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "discover", "cases.csv", "-o", "found.csv"]) == 0
    # As for an outlier, of which a group of 12 scans can have none (see `most_likely`).
    Path("found.csv").write_text(Path("found.csv").read_text().replace("c03,group_2", "c03,"))
    fit = ["harmonize", "fit", "cases.csv", "-o", "h.json", "--groups"]
    assert main([*fit, "found.csv"]) == 0
    out, err = capsys.readouterr()
    assert "1 of 20 training cases belong to no group and are left out: c03" in err
    assert "Fitted to 19 training cases" in out
    before = Path("h.json").read_bytes()
    write_scan(Path("images/c03.nii"), 4, 5e6)
    assert main([*fit, "found.csv", "--overwrite"]) == 0
    assert Path("h.json").read_bytes() == before


def test_a_spline_needs_groups(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("cases.csv").read_text().replace("group", "scanner")
    Path("cases.csv").write_text(text)
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 2
    assert "--method spline needs the group of every scan" in capsys.readouterr().err
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "nyul"]) == 0


# -- fit and apply ---------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [[], ["--groups", "intensities"]], ids=["column", "discovered"])
def test_validation_scans_do_not_change_the_fit_and_training_scans_do(
    groups: list[str], here: Path
) -> None:
    def fitted() -> bytes:
        assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--overwrite", *groups]) == 0
        return Path("h.json").read_bytes()

    before = fitted()
    write_scan(Path("images/c22.nii"), 99, 7.0)
    Path("images/c23.nii").write_bytes(b"no scan at all")
    assert fitted() == before
    write_scan(Path("images/c03.nii"), 99, 100.0)
    assert fitted() != before


@pytest.mark.parametrize("method", ["spline", "nyul", "zscore"])
def test_scans_are_written_on_their_grid_as_float32(method: str, here: Path) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", method]) == 0
    assert main(["harmonize", "apply", "cases.csv", "-m", "h.json", "-o", "out"]) == 0
    assert len([*Path("out").glob("*.nii")]) == 24
    raw, done = nibabel.load("images/c03.nii"), nibabel.load("out/c03.nii")
    assert done.get_data_dtype() == np.float32
    assert np.array_equal(done.affine, raw.affine)
    for field in ("qform_code", "sform_code", "pixdim", "xyzt_units", "dim"):
        assert np.array_equal(done.header[field], raw.header[field])
    order = np.argsort(np.asarray(raw.dataobj), axis=None)
    assert np.diff(voxels_of("out/c03.nii").ravel()[order]).min() >= 0
    means = [voxels_of(f"out/c{number:02d}.nii").mean() for number in range(24)]
    assert np.std(means) < 0.2 * np.std(voxels_of("out/c03.nii"))


def test_a_scan_does_not_depend_on_the_others(here: Path) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 0
    groups = ["--groups", "cases.csv"]
    assert main(["harmonize", "apply", "cases.csv", "-m", "h.json", "-o", "out"]) == 0
    command = ["harmonize", "apply", "images/c03.nii", "-m", "h.json", "-o", "one.nii.gz", *groups]
    assert main(command) == 0
    assert np.array_equal(voxels_of("one.nii.gz"), voxels_of("out/c03.nii"))


def test_an_unseen_group_is_flagged_and_refused_when_strict(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 0
    Path("new.csv").write_text("case,group\nc00,a\nc01,unseen\n")
    scans = ["images/c00.nii", "images/c01.nii", "images/c02.nii"]
    apply = ["harmonize", "apply", *scans, "-m", "h.json", "--groups", "new.csv", "-o"]
    assert main([*apply, "out"]) == 0
    rows = {row["case"]: row for row in table_of("out/harmonized.csv")}
    assert [rows[case]["known"] for case in ("c00", "c01", "c02")] == ["yes", "no", "no"]
    assert "the group 'unseen', of which there was no training scan" in rows["c01"]["note"]
    assert "c01.nii: the group 'unseen'" in capsys.readouterr().err
    assert np.isfinite(voxels_of("out/c01.nii")).all()
    assert main([*apply, "strict", "--strict"]) == 5
    assert "2 scans were not harmonized: c01, c02" in capsys.readouterr().err
    assert sorted(path.name for path in Path("strict").iterdir()) == ["c00.nii", "harmonized.csv"]
    alone = ["harmonize", "apply", "images/c02.nii", "-m", "h.json", "-o", "x", "--strict"]
    assert main(alone) == 3
    assert "expected a scan of one of the groups a, b" in capsys.readouterr().err


def test_a_scanner_outside_of_discovered_groups_is_unseen(here: Path) -> None:
    fit = ["harmonize", "fit", "cases.csv", "-o", "h.json", "--groups", "intensities"]
    assert main(fit) == 0
    write_scan(Path("other/x.nii"), 5, 10_000.0)
    write_scan(Path("other/y.nii"), 6, 100.0)
    assert main(["harmonize", "apply", "other", "-m", "h.json", "-o", "out"]) == 0
    rows = {row["case"]: row for row in table_of("out/harmonized.csv")}
    assert (rows["x"]["group"], rows["x"]["known"]) == ("", "no")
    assert (rows["y"]["group"], rows["y"]["known"]) == ("group_2", "yes")
    # The column group of the dataset holds other names and is not asked.
    assert main(["harmonize", "apply", "cases.csv", "-m", "h.json", "-o", "all"]) == 0
    assert {row["known"] for row in table_of("all/harmonized.csv")} == {"yes"}
    Path("given.csv").write_text("case,group\nx,group_1\ny,group_1\n")
    given = ["harmonize", "apply", "other", "-m", "h.json", "--groups", "given.csv", "-o", "given"]
    assert main(given) == 0
    assert {row["group"] for row in table_of("given/harmonized.csv")} == {"group_1"}


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 0
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 2
    assert "h.json exists" in capsys.readouterr().err
    before = Path("images/c00.nii").read_bytes()
    for out, flags, message in [
        ("images", ["--overwrite"], "is an input"),
        ("one.nii", [], "give a folder for several files"),
    ]:
        command = ["harmonize", "apply", "images", "-m", "h.json", "-o", out, *flags]
        assert main(command) == 2
        assert message in capsys.readouterr().err
    assert Path("images/c00.nii").read_bytes() == before
    command = ["harmonize", "apply", "images/c00.nii", "-m", "h.json", "-o", "out"]
    assert main(command) == 0
    assert main(command) == 2
    assert "out/c00.nii exists" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    same = ["harmonize", "apply", "images/c00.nii", "other/c00.nii", "-m", "h.json", "-o", "two"]
    write_scan(Path("other/c00.nii"), 1, 1.0)
    assert main(same) == 2
    assert "two scans are called 'c00'" in capsys.readouterr().err


def test_a_scan_that_cannot_be_read_does_not_stop_the_others(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "zscore"]) == 0
    Path("images/c05.nii").write_bytes(b"no scan at all")
    assert main(["harmonize", "apply", "images", "-m", "h.json", "-o", "out"]) == 5
    assert "1 scan was not harmonized: c05" in capsys.readouterr().err
    assert len([*Path("out").glob("*.nii")]) == 23
    rows = {row["case"]: row for row in table_of("out/harmonized.csv")}
    assert (rows["c05"]["known"], rows["c05"]["files"]) == ("", "")
    # The others are not lost from the table when this scan alone is harmonized later.
    write_scan(Path("images/c05.nii"), 5, 1.0)
    assert main(["harmonize", "apply", "images/c05.nii", "-m", "h.json", "-o", "out"]) == 0
    assert len(table_of("out/harmonized.csv")) == 24
    Path("mine").mkdir()
    Path("mine/harmonized.csv").write_text("my,table\n1,2\n")
    assert main(["harmonize", "apply", "images", "-m", "h.json", "-o", "mine"]) == 2
    assert "is not a table of harmonized scans" in capsys.readouterr().err


def test_flags_without_effect_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 0
    Path("plain.csv").write_text(Path("cases.csv").read_text().replace("group", "scanner"))
    plain = ["harmonize", "fit", "plain.csv", "--method", "nyul", "-o", "nyul.json"]
    assert main(plain) == 0
    apply = ["apply", "images", "-o", "out", "-m"]
    report = ["report", "cases.csv", "-o", "out", "-m"]
    for words, found in [
        (["discover", "cases.csv", "--overwrite"], "--overwrite is for the file of -o"),
        ([*apply, "h.json", "--column", "x"], "--column names a column of the CSV file"),
        ([*apply, "h.json", "--groups", "intensities"], "--groups intensities is for segkit harmo"),
        ([*report, "h.json", "--groups", "intensities"], "--groups intensities is for segkit harm"),
        ([*report, "h.json", "--column", "x"], "--column names a column of the CSV file"),
        ([*apply, "nyul.json", "--strict"], "--strict: nyul.json was fitted without groups"),
        ([*apply, "nyul.json", "--groups", "cases.csv"], "--groups: nyul.json was fitted without"),
    ]:
        assert main(["harmonize", *words]) == 2
        assert found in capsys.readouterr().err
    assert not Path("out").exists()


def test_outputs_are_named_after_cases(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "zscore"]) == 0
    Path("images/c00.nii").rename("images/p_0000.nii")
    write_scan(Path("other/c01.nii"), 1, 1.0)
    cases = ["case,image,label", "p,images/p_0000.nii,seg.nii"]
    cases += ["q,images/c01.nii,seg.nii", "r,other/c01.nii,seg.nii"]
    Path("same.csv").write_text("\n".join(cases))
    apply = ["harmonize", "apply", "same.csv", "-m", "h.json", "-o"]
    assert main([*apply, "out"]) == 0
    names = sorted(path.name for path in Path("out").glob("*.nii"))
    assert names == ["p_0000.nii", "q.nii", "r.nii"]
    for name, found in [
        ("p_0000", "two scans would be written to out2/p_0000.nii"),
        ("../q", "case '../q': files are named after cases"),
    ]:
        Path("same.csv").write_text("\n".join([*cases, f"{name},images/c02.nii,seg.nii"]))
        assert main([*apply, "out2"]) == 2
        assert found in capsys.readouterr().err


def test_channels_in_files_of_their_own(here: Path) -> None:
    rows = ["case,image:T1,image:T2,label,group"]
    for number in range(8):
        for channel in (0, 1):
            gain = GAINS["ab"[number % 2]] * (1 + channel)
            write_scan(Path(f"two/c{number}_000{channel}.nii"), 2 * number + channel, gain)
        images = f"two/c{number}_0000.nii,two/c{number}_0001.nii"
        rows.append(f"c{number},{images},seg.nii,{'ab'[number % 2]}")
    Path("two.csv").write_text("\n".join(rows))
    assert main(["harmonize", "fit", "two.csv", "-o", "h.json", "--fold", "all"]) == 0
    command = ["harmonize", "apply", "two", "-m", "h.json", "--groups", "two.csv", "-o", "out"]
    assert main(command) == 0
    names = sorted(path.name for path in Path("out").glob("*.nii"))
    assert names == sorted(path.name for path in Path("two").iterdir())
    assert not np.array_equal(voxels_of("out/c0_0000.nii"), voxels_of("out/c0_0001.nii"))


def test_groups_from_dicom(dicom: Any, here: Path) -> None:
    lines = ["case,image,label"]
    for number in range(6):
        scanner = "SIEMENS" if number % 2 else "siemens  Healthineers"
        voxels = np.random.default_rng(number).integers(0, 100, (8, 7, 6)).astype(np.uint16)
        dicom.series(
            Path(f"dicom/p{number}"), voxels, Manufacturer=scanner, MagneticFieldStrength=1.494
        )
        label = np.zeros((8, 7, 6), np.uint8)
        label[1, 1, 1] = 1
        affine = np.diag([-1.0, -1, 1, 1])
        nibabel.save(nibabel.Nifti1Image(label, affine), f"dicom/p{number}.nii")
        lines.append(f"p{number},dicom/p{number},dicom/p{number}.nii")
    Path("dicom.csv").write_text("\n".join(lines))
    fit = ["harmonize", "fit", "dicom.csv", "-o", "h.json", "--groups", "dicom", "--fold", "all"]
    assert main(fit) == 0
    content = json.loads(Path("h.json").read_text())
    assert [*content["scans"]] == ["siemens healthineers | - | 1.5T", "siemens | - | 1.5T"]
    assert main(["harmonize", "apply", "dicom/p3", "-m", "h.json", "-o", "out"]) == 0
    (row,) = table_of("out/harmonized.csv")
    assert (row["group"], row["known"], row["files"]) == ("siemens | - | 1.5T", "yes", "p3.nii.gz")


# -- tables ----------------------------------------------------------------------------------------


@pytest.fixture
def stats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """stats.csv of 12 cases and two labels, and sites.csv with site, age and sex."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows, sites = [], []
    for number in range(12):
        site = "xyz"[number % 3]
        sites.append([f"p{number}", site, 40 + number, "FM"[number // 2 % 2], number < 9])
        for label, value in (("liver", 1), ("spleen", 2)):
            volume = round(random.normal(1000 / value, 30) + 100 * (number % 3), 3)
            mean = round(random.normal(60) + 10 * (number % 3), 3)
            rows.append([f"p{number}", label, value, 8, volume, mean, ""])
    header = ["case", "label", "value", "voxels", "volume_ml", "mean:CT", "scan_warnings"]
    for name, content in (
        ("stats.csv", [header, *rows]),
        ("sites.csv", [["case", "site", "age", "sex", "train"], *sites]),
    ):
        with Path(name).open("w", newline="") as file:
            csv.writer(file).writerows(content)
    return tmp_path


FIT = ("harmonize", "fit", "stats.csv", "--method", "combat", "--groups", "sites.csv")
SITES = ("--column", "site", "--covariates", "age,sex")
APPLY = ("harmonize", "apply", "-m", "combat.json", "--groups", "sites.csv")


def test_stats_are_harmonized_in_their_own_cells(
    stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *SITES, "-o", "combat.json"]) == 0
    assert "ComBat of 4 measurements" in capsys.readouterr().out
    assert main([*APPLY, "stats.csv", "-o", "out.csv"]) == 0
    before, after = table_of("stats.csv"), table_of("out.csv")
    assert [*after[0]] == [*before[0], "harmonization_note"]
    kept = ("case", "label", "value", "voxels", "scan_warnings")
    for old, new in zip(before, after, strict=True):
        assert [new[name] for name in kept] == [old[name] for name in kept]
        assert new["harmonization_note"] == ""
    volumes = {site: [] for site in "xyz"}
    for index, row in enumerate(after[::2]):
        volumes["xyz"[index % 3]].append(float(row["volume_ml"]))
    means = [np.mean(values) for values in volumes.values()]
    assert np.ptp(means) < 60  # 200 before


def test_new_cases_of_an_unseen_site_are_left_and_noted(
    stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *SITES, "--where", "train=True", "-o", "combat.json"]) == 0
    sites = Path("sites.csv").read_text().replace("p11,z", "p11,w")
    Path("sites.csv").write_text(sites)
    assert main([*APPLY, "stats.csv", "-o", "out.csv"]) == 0
    assert "left as they are: p11 (unseen site w)" in capsys.readouterr().err
    last = table_of("out.csv")[-1]
    assert last.pop("harmonization_note") == "unseen site w"
    assert last == table_of("stats.csv")[-1]
    assert main([*APPLY, "stats.csv", "-o", "strict.csv", "--strict"]) == 3
    assert "unseen site w for p11" in capsys.readouterr().err
    assert not Path("strict.csv").exists()


def test_only_the_chosen_cases_are_fitted(stats: Path) -> None:
    where = ["--where", "train=True"]
    assert main([*FIT, *SITES, *where, "-o", "one.json"]) == 0
    text = Path("stats.csv").read_text()
    Path("stats.csv").write_text(text.replace("p11,liver,1,8,", "p11,liver,1,8,9"))
    assert main([*FIT, *SITES, *where, "-o", "two.json"]) == 0
    assert main([*FIT, *SITES, "-o", "all.json"]) == 0
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()
    assert Path("one.json").read_bytes() != Path("all.json").read_bytes()


@pytest.mark.parametrize(
    ("flags", "code", "found"),
    [
        (["--column", "scanner"], 3, "expected a column scanner"),
        ([*SITES, "--features", "volume"], 3, "expected a column volume"),
        ([*SITES, "--where", "train"], 2, "write COLUMN=VALUE"),
        ([*SITES, "--where", "train=yes"], 3, "expected cases with train=yes, found none"),
        (["--groups", "dicom"], 2, "--groups dicom is for scans"),
        (["--tags", "StationName"], 2, "--tags is for scans, not for --method combat"),
        (["--fold", "1"], 2, "--fold is for scans; with --method combat, --where"),
        (["--column", "site", "--covariates", "site"], 3, "found site, which follows"),
    ],
)
def test_tables_that_cannot_be_fitted(
    flags: list[str], code: int, found: str, stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *flags, "-o", "combat.json"]) == code
    assert found in capsys.readouterr().err


def test_what_is_uncertain_or_missing_is_named(
    stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *SITES, "-o", "combat.json"]) == 0
    assert "sites with fewer than 25 cases: x (4), y (4), z (4)" in capsys.readouterr().err
    text = Path("stats.csv").read_text().replace("spleen", "kidney")
    Path("other.csv").write_text(text)
    assert main([*APPLY, "other.csv", "-o", "o.csv"]) == 0
    assert "other.csv: not in this table: spleen: volume_ml" in capsys.readouterr().err
    Path("one.csv").write_text("\n".join(["case,a", *(f"p{n},{n * n % 7}" for n in range(12))]))
    one = ["harmonize", "fit", "one.csv", "--method", "combat", "--groups", "sites.csv"]
    assert main([*one, "--column", "site", "-o", "one.json"]) == 0
    assert "one measurement: there is nothing to shrink over" in capsys.readouterr().err


def test_tables_and_models_that_do_not_fit_together(
    stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *SITES, "--features", "volume_ml", "-o", "combat.json"]) == 0
    Path("other.csv").write_text("case,cortex\np1,2\n")
    Path("other_labels.csv").write_text("case,label,volume_ml\np1,kidney,2\n")
    for words, code, found in [
        (["other.csv", "-o", "o.csv"], 3, "expected the measurements liver: volume_ml"),
        (["stats.csv", "sites.csv", "-o", "o.csv"], 2, "ComBat is applied to one table"),
        (["stats.csv", "-o", "stats.csv", "--overwrite"], 2, "stats.csv is an input"),
        (["stats.csv", "-o", "out.csv", "--groups", "out.csv"], 2, "out.csv is an input"),
        (["stats.csv", "-o", "sites.csv", "--overwrite"], 2, "sites.csv is an input"),
        (["stats.csv", "-o", "o.csv", "--groups", "dicom"], 2, "--groups dicom is for scans"),
        (["stats.csv", "-o", "o.csv", "--column", "group"], 3, "expected a column group"),
        (["other_labels.csv", "-o", "o.csv"], 3, "found kidney: volume_ml"),
    ]:
        assert main([*APPLY, *words]) == code
        assert found in capsys.readouterr().err


# -- report ----------------------------------------------------------------------------------------


def test_a_report_says_what_was_removed_and_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json"]) == 0
    report = ["harmonize", "report", "cases.csv", "-m", "h.json", "-o", "report"]
    assert main(report) == 0
    printed = capsys.readouterr().out
    assert "the median scan keeps" in printed
    names = {path.name for path in Path("report").iterdir()}
    assert names == {
        *("report.html", "cases.csv", "site_prediction.csv", "summary.json"),
        *("densities.png", "densities.svg", "differences.png", "differences.svg"),
    }
    assert files_without_row(Path("report"), "Files of a harmonization") == []
    summary = json.loads(Path("report/summary.json").read_text())
    channel = summary["channels"]["image"]
    assert channel["group_share_before"] > 0.8
    assert channel["group_share_after"] < 0.3
    assert summary["site_prediction"]["raw"]["random trees"]["auc"] == 1
    assert len(table_of("report/cases.csv")) == 24
    page = Path("report/report.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert main(report) == 2
    assert "report.html exists; choose another place" in capsys.readouterr().err
    Path("mine").mkdir()
    Path("mine/densities.png").write_text("mine")
    assert main([*report[:-1], "mine"]) == 2
    assert "densities.png exists; choose another place" in capsys.readouterr().err


def test_other_channels_and_groups_of_one_patient(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"c{n:02d},images/c{n:02d}.nii,seg.nii,{'ab'[n % 2]}" for n in range(5)]
    rows[4] = rows[4][:-1] + "alone"
    Path("few.csv").write_text("\n".join(["case,image,label,group", *rows]))
    assert main(["harmonize", "fit", "few.csv", "-o", "h.json", "--fold", "all"]) == 0
    assert main(["harmonize", "report", "few.csv", "-m", "h.json", "-o", "report"]) == 0
    assert "groups of one patient are left out of the classifiers: alone" in capsys.readouterr().err
    pairs = [row.replace(",seg", f",images/c{n + 9:02d}.nii,seg") for n, row in enumerate(rows)]
    Path("two.csv").write_text("\n".join(["case,image:T1,image:T2,label,group", *pairs]))
    assert main(["harmonize", "report", "two.csv", "-m", "h.json", "-o", "two"]) == 3
    assert "expected 1 channels, as the harmonization was fitted" in capsys.readouterr().err


def test_no_table_that_is_an_input_is_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "zscore"]) == 0
    before = Path("cases.csv").read_bytes()
    for words in (
        ["discover", "cases.csv", "-o", "cases.csv"],
        ["fit", "cases.csv", "-o", "cases.csv"],
        ["report", "cases.csv", "-m", "h.json", "-o", "."],
    ):
        assert main(["harmonize", *words, "--overwrite"]) == 2
        assert "cases.csv is an input" in capsys.readouterr().err
    assert Path("cases.csv").read_bytes() == before


def test_no_label_map_of_the_dataset_is_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "zscore"]) == 0
    Path("labels").mkdir()
    Path("seg.nii").rename("labels/c00.nii")
    Path("one.csv").write_text("case,image,label\nc00,images/c00.nii,labels/c00.nii\n")
    apply = ["harmonize", "apply", "one.csv", "-m", "h.json", "-o", "labels", "--overwrite"]
    assert main(apply) == 2
    assert "labels/c00.nii is an input" in capsys.readouterr().err


def test_a_case_of_two_channels_is_one_case(here: Path) -> None:
    rows = [
        f"c{number:02d},images/c{number:02d}.nii,images/c{number + 1:02d}.nii,seg.nii,{group}"
        for number, group in enumerate("aabb")
    ]
    Path("two.csv").write_text("\n".join(["case,image:T1,image:T2,label,group", *rows]))
    assert main(["harmonize", "fit", "two.csv", "-o", "h.json", "--fold", "all"]) == 0
    assert main(["harmonize", "report", "two.csv", "-m", "h.json", "-o", "report"]) == 0
    summary = json.loads(Path("report/summary.json").read_text())
    assert summary["cases"] == {"a": 2, "b": 2}


def test_a_report_without_groups_has_no_classifiers(here: Path) -> None:
    text = Path("cases.csv").read_text().replace("group", "scanner")
    Path("cases.csv").write_text(text)
    assert main(["harmonize", "fit", "cases.csv", "-o", "h.json", "--method", "nyul"]) == 0
    assert main(["harmonize", "report", "cases.csv", "-m", "h.json", "-o", "report"]) == 0
    assert "nothing can be recognized" in Path("report/report.html").read_text()
    assert json.loads(Path("report/summary.json").read_text())["site_prediction"] == {}
