"""The page of a check of a small dataset."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import nibabel
import numpy as np
import pytest

from segkit.dataset.layouts import read_dataset
from segkit.dataset_check import examine
from segkit.report.check_cards import Pictures, card_id, case_link
from segkit.report.check_page import write_check
from segkit.report.check_thumbnails import Thumbnails

NAMES = ["plain1", "plain2", "plain3", "plain4", "large_organ", "<b>empty"]


class Links(HTMLParser):
    """Everything that a page would load, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.headings: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [given[name] or "" for name in ("src", "href") if name in given]
        self.anchors.add(given.get("id") or "")
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside == "h3" and data.strip():
            self.headings.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the check of six cases, one of which has a large organ and one has none."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part in ("images", "labels"):
        (root / part).mkdir()
    for name in NAMES:
        labels = np.zeros((16, 14, 12), np.uint8)
        size = {"large_organ": 9, "<b>empty": 0}.get(name, 3)
        labels[2 : 2 + size, 2 : 2 + size, 2 : 2 + size] = 1
        image = random.normal(100, 5, labels.shape).astype(np.float32)
        for part, array in (("images", image), ("labels", labels)):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / part / f"{name}.nii")
    (root / "dataset.yaml").write_text("channels: [MR]\nlabels: {organ: 1}")
    dataset = read_dataset(root)
    thumbnails = Thumbnails(dataset)
    examined = examine(dataset, see=thumbnails.draw)
    write_check(examined, root / "out", Pictures(thumbnails.of_case, thumbnails.remarks))
    return root / "out"


@pytest.fixture
def links(folder: Path) -> Links:
    found = Links()
    found.feed((folder / "report.html").read_text(encoding="utf-8"))
    return found


def test_the_page_loads_nothing(links: Links) -> None:
    own = {f"#{anchor}" for anchor in links.anchors}
    assert all(each.startswith("data:image/") or each in own for each in links.loaded)
    assert sum(each.startswith("data:image/jpeg") for each in links.loaded) == len(NAMES)


def test_the_oddest_cases_come_first(links: Links) -> None:
    cards = [heading for heading in links.headings if heading in NAMES]
    assert cards[:2] == ["<b>empty", "large_organ"]  # a warning, then a note


def test_the_page_says_what_is_odd_and_what_to_do(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "1 warning, 1 note." in text
    assert "volume of organ 0.729 ml; the median is 0.027 ml" in text
    assert "<b>What to do:</b> Look at the case" in text
    assert "<b>empty" not in text  # names are escaped
    assert not re.search(r"<script|https?://", text)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a copy, and of cases of which scan, label map or grid cannot be used."""
    root = tmp_path_factory.mktemp("faulty")
    random = np.random.default_rng(0)
    names = ["first", "copy", "all_nan", "nan", "value", "moved", "far", "cut", "cut_label"]
    images = {name: random.normal(100, 5, (16, 14, 12)).astype(np.float32) for name in names}
    images["copy"] = images["first"]
    images["nan"][3, 3, 3] = np.nan
    images["all_nan"][:] = np.nan
    for part in ("images", "labels"):
        (root / part).mkdir()
    for name in names:
        labels = np.zeros((16, 14, 12), np.uint8)
        labels[2:6, 2:6, 2:6] = 9 if name == "value" else 1
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(images[name], affine), root / f"images/{name}.nii")
        affine[0, 3] = {"moved": 1.0, "far": 500.0}.get(name, 0.0)
        nibabel.save(nibabel.Nifti1Image(labels, affine), root / f"labels/{name}.nii")
    (root / "images/cut.nii").write_bytes(b"half")
    (root / "labels/cut_label.nii").write_bytes(b"half")
    (root / "dataset.yaml").write_text("channels: [MR]\nlabels: {organ: 1}")
    dataset = read_dataset(root)
    thumbnails = Thumbnails(dataset)
    examined = examine(dataset, see=thumbnails.draw)
    pictures = Pictures(thumbnails.of_case, thumbnails.remarks)
    write_check(examined, root / "out", pictures, command=["segkit", "check", "my data"])
    return (root / "out/report.html").read_text(encoding="utf-8")


def card(page: str, case: str) -> str:
    return page.partition(f'<div class="card" id="case-{case}">')[2].partition('<div class="card"')[
        0
    ]


@pytest.mark.parametrize("case", ["a b", "a%20b", "100%", "<x>", 'q"#1', "Größe"])
def test_a_link_leads_to_the_card_as_a_browser_reads_it(case: str) -> None:
    """Browsers first seek the id as it is written, and only then without its escapes."""
    address = case_link(case).split('"')[1]
    assert quote(address, safe="#%/:;?@!$&'()*+,=") == address  # nothing that a browser escapes
    assert card_id(case) == address.removeprefix("#")


def test_copies_link_to_each_other(faulty: str) -> None:
    assert '<li><a href="#case-copy">copy</a>, <a href="#case-first">first</a> are the' in faulty
    assert '</span>: copy, <a href="#case-first">first</a> are the same scan' in card(
        faulty, "copy"
    )
    assert "No problem" not in card(faulty, "first") + card(faulty, "copy")


@pytest.mark.parametrize(
    ("case", "drawn", "remark"),
    [
        (
            "all_nan",
            False,
            "No picture, because all_nan.nii has voxels without a number everywhere.",
        ),
        ("nan", True, "Planes with voxels that have no number are black (1)."),
        ("value", True, ""),
        ("moved", True, "Outlines are where the header of the label map says."),
        ("far", True, "Without outlines: by its header, the label map lies outside of the scan."),
        ("cut", False, "No picture, because cut.nii cannot be read."),
        ("cut_label", True, "Without outlines, because cut_label.nii cannot be read."),
    ],
)
def test_a_case_with_an_error_has_a_picture(
    faulty: str, case: str, drawn: bool, remark: str
) -> None:
    own = card(faulty, case)
    assert '<span class="error">error</span>' in own
    assert ("data:image/jpeg" in own) == drawn
    assert remark in own


def test_beside_errors_of_grids_stands_what_can_be_corrected(faulty: str) -> None:
    assert (
        "<pre>segkit check &#x27;my data&#x27; --fix-geometry &#x27;my data_corrected&#x27;</pre>"
        in faulty
    )
    assert "It never changes a label map of another shape" in faulty
    assert "(it is off by less than a voxel): --fix-geometry may correct it." in card(
        faulty, "moved"
    )
    assert "--fix-geometry leaves it as it is." in card(faulty, "far")


def test_the_command_stands_only_where_it_corrects_something(tmp_path: Path) -> None:
    for part, place in (("images", 0), ("labels", 30)):
        (tmp_path / "data" / part).mkdir(parents=True)
        affine = np.diag([2.0, 2, 2, 1])
        affine[2, 3] = place
        voxels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4) % 2
        nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "data" / part / "a.nii")
    (tmp_path / "data/dataset.yaml").write_text("channels: [MR]\nlabels: {organ: 1}")
    dataset = read_dataset(tmp_path / "data")
    thumbnails = Thumbnails(dataset)
    examined = examine(dataset, see=thumbnails.draw)
    assert [each.check for each in examined.problems][:1] == ["label_grid"]
    write_check(examined, tmp_path / "out", Pictures(thumbnails.of_case, thumbnails.remarks))
    assert "<pre>" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_no_card_and_no_problem_is_cut_in_print(faulty: str) -> None:
    style = faulty.partition("<style>")[2].partition("<h1>")[0]
    assert "@page { size: A4;" in style
    assert re.search(r"\.card \{[^}]*break-inside: avoid", style)
    assert "figure, li, .fix { break-inside: avoid; }" in style


def test_tables_and_json(folder: Path) -> None:
    with (folder / "problems.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["check"] for row in rows] == ["empty_label_map", "odd_volume"]
    with (folder / "measurements.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["measurement"] == "volume of organ"]
    assert {row["case"]: row["value"] for row in rows}["large_organ"] == "0.729"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["counts"] == {"errors": 0, "warnings": 1, "notes": 1}
    assert summary["problems"][0]["file"] == "labels/<b>empty.nii"
