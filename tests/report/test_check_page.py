"""The page of a check of a small dataset."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.dataset.layouts import read_dataset
from segkit.dataset_check import examine
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
    write_check(examine(dataset, see=thumbnails.draw), root / "out", thumbnails.of_case)
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
