"""Chromium lays out pages at the width of a phone and prints them: nothing is cut off."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segkit.dataset.layouts import read_dataset
from segkit.dataset_check import examine
from segkit.evaluation import compare, evaluate
from segkit.io import write_image, write_labels
from segkit.report.check_cards import Pictures
from segkit.report.check_page import write_check
from segkit.report.check_thumbnails import Thumbnails
from segkit.report.comparison_page import write_comparison
from segkit.report.evaluation_page import write_evaluation
from segkit.report.look_first import ScanToLook, look_first_page
from segkit.volume import Volume

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium"),
]
MEASURE = """<script>addEventListener("load", () => {
  const parts = "body, table:not(.sortable), td, section, p, li, .pairs *";
  const wide = [...document.querySelectorAll(parts)]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).map(e => e.outerHTML);
  document.title = `${innerWidth} wide: ${wide.length} ${wide.slice(0, 3)}`;
});</script>"""


def chromium(folder: Path, page: Path, *flags: str) -> str:
    words = [str(BROWSER), "--headless=new", "--no-sandbox", "--hide-scrollbars"]
    words += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", *flags]
    done = subprocess.run(
        [*words, page.as_uri()], capture_output=True, text=True, timeout=180, check=True
    )
    return done.stdout


def pages(folder: Path) -> list[Path]:
    for number in range(8):
        case = f"a_rather_long_name_of_a_case_of_the_hippocampus_{number:04d}"
        for part, edge in (("a", 4), ("b", 4 + number % 3), ("r", 7)):
            labels = np.zeros((1, 12, 12, 8), np.uint8)
            labels[0, 1:edge, 1:6, 2:6], labels[0, 8 : 4 + edge, 1:6, 2:6] = 1, 2
            write_labels(folder / part / f"{case}.nii.gz", Volume(labels, np.eye(4)))
    parts = [folder / name for name in "abr"]
    compared = write_comparison(compare(*parts), folder / "compared")[2]
    report = write_evaluation(evaluate(parts[1], parts[2]), folder / "report")[3]
    look = folder / "look_first.html"
    scan = ScanToLook("a_rather_long_name_of_a_case" * 2, dice=0.5, error=0.1, usual=0.9)
    look.write_text(look_first_page([scan, ScanToLook("b", flags=("odd " * 30,))], "Words."))
    return [compared, report, look, checked(folder / "data")]


def checked(root: Path) -> Path:
    """Return the page of a check of copies, one of which has a moved label map."""
    image = np.random.default_rng(0).normal(100, 9, (1, 12, 12, 8)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[0, 3:8, 3:8, 2:6] = 1
    for number in range(3):
        name = f"a_rather_long_name_of_a_case_of_the_hippocampus_{number:04d}.nii.gz"
        write_image(root / "images" / name, Volume(image, np.eye(4)))
        affine = np.eye(4)
        affine[0, 3] = 0.5 if number == 2 else 0
        write_labels(root / "labels" / name, Volume(labels, affine))
    (root / "dataset.yaml").write_text("channels: [MR]\nlabels: {organ: 1}")
    dataset = read_dataset(root)
    thumbnails = Thumbnails(dataset)
    examined = examine(dataset, see=thumbnails.draw)
    pictures = Pictures(thumbnails.of_case, thumbnails.remarks)
    return write_check(examined, root / "out", pictures, command=["segkit", "check", "a" * 90])[0]


def test_nothing_is_cut_off_on_a_phone_and_paper_is_a4(tmp_path: Path) -> None:
    for page in pages(tmp_path):
        measured = page.with_name(f"measured_{page.name}")
        measured.write_text(page.read_text().replace("</head>", f"{MEASURE}</head>"))
        # Chromium has no window narrower than 500 px, so the page is in a frame of 390.
        frame = page.with_name(f"frame_{page.name}")
        frame.write_text(f'<iframe src="{measured.name}" width="390" height="800"></iframe>')
        text = page.with_name("frame.html")
        script = (
            "<script>addEventListener('load', () => setTimeout(() => { document.title ="
            " frames[0].document.title }, 2000))</script>"
        )
        text.write_text(frame.read_text() + script)
        found = chromium(tmp_path, text, "--allow-file-access-from-files", "--dump-dom")
        title = re.search(r"<title>(.*?)</title>", found, re.DOTALL)
        assert title, found
        assert title[1].startswith("390 wide: 0"), title[1]
        pdf = tmp_path / "page.pdf"
        chromium(tmp_path, page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
        assert re.search(rb"/MediaBox\s*\[0 0 59[45][.\d]* 84[12]", pdf.read_bytes())
