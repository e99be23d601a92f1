"""dataset.yaml: names beside a CSV file or two folders, read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit import plan
from segkit.cli import main
from segkit.dataset.dataset import Dataset
from segkit.dataset.layouts import read_dataset
from segkit.errors import InputError
from segkit.evaluation import evaluate
from segkit.io import write_image, write_labels
from segkit.volume import Volume

DESCRIPTION = "channels: [CT]\nlabels: {liver: 1, spleen: 5}\nignore: 255\n"


def folders(root: Path, text: str, file: str = "dataset.yaml") -> Path:
    """Two cases with the values 0, 1 and 5 in blocks."""
    values = np.zeros((1, 12, 12, 12), np.uint8)
    values[0, 2:6, 2:6, 2:6], values[0, 6:10, 6:10, 6:10] = 1, 5
    for name in "ab":
        write_image(
            root / f"images/{name}.nii.gz", Volume(values.astype(np.int16) * 30 - 99, np.eye(4))
        )
        write_labels(root / f"labels/{name}.nii.gz", Volume(values, np.eye(4)))
    (root / file).write_text(text, encoding="utf-8")
    return root


def described(root: Path, text: str) -> Dataset:
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    (root / "images/a.nii").touch()
    (root / "labels/a.nii").touch()
    (root / "dataset.yaml").write_text(text, encoding="utf-8")
    return read_dataset(root)


@pytest.mark.parametrize("file", ["dataset.yaml", "dataset.yml"])
def test_names_beside_two_folders_and_beside_a_table(tmp_path: Path, file: str) -> None:
    folder = folders(tmp_path, DESCRIPTION, file)
    (folder / "cases.csv").write_text("case,image,label\na,images/a.nii.gz,labels/a.nii.gz\n")
    for place in (folder, folder / "cases.csv"):
        data = read_dataset(place)
        assert (data.channels, data.labels, data.ignore) == (
            ("CT",),
            {"liver": 1, "spleen": 5},
            255,
        )
        assert not data.subset


def test_check_plan_and_evaluate_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders(tmp_path, DESCRIPTION.replace("ignore: 255", ""))
    assert main(["check", str(folder)]) == 0
    assert "channels: CT\nlabels:   liver=1, spleen=5" in capsys.readouterr().out
    decided = plan(folder, "network.features=[4,8]")
    assert (decided.labels, decided.channels[0].scheme) == ({"liver": 1, "spleen": 5}, "ct")
    for references in (folder, folder / "labels"):
        assert {row.label for row in evaluate(folder / "labels", references).rows} == {
            "liver",
            "spleen",
        }


def test_overrides_win(tmp_path: Path) -> None:
    folder = folders(tmp_path, DESCRIPTION)
    data = read_dataset(folder, ["MR"], {"spleen": 5}, ignore=9)
    assert (data.channels, data.labels, data.ignore, data.subset) == (
        ("MR",),
        {"spleen": 5},
        9,
        True,
    )


def test_regions_and_every_notation(tmp_path: Path) -> None:
    regions = described(tmp_path / "a", "regions:\n  whole: [1, 2]\n  core: 2\n")
    assert (regions.regions, regions.labels) == (
        {"whole": (1, 2), "core": (2,)},
        {"whole": 1, "core": 2},
    )
    other = described(
        tmp_path / "b", "\ufeffchannels: {0: no}\nlabels:\n  1: 1e3\n  2: yes\n  3: ignore\n"
    )
    assert (other.channels, other.labels, other.ignore) == (("no",), {"1e3": 1, "yes": 2}, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the keys channels, labels, regions, ignore, found None"),
        ("- a", r"found \['a'\]"),
        ("labels: {a: 1", "expected names in YAML, found while parsing a flow mapping"),
        ("lables: {a: 1}", "found 'lables'. Did you mean labels"),
        ("channel_names: [CT]", "found 'channel_names'. Did you mean channels"),
        ("colours: [CT]", "found 'colours'. Remove it"),
        (
            "labels: [liver, spleen]",
            r"expected names with values under labels, found \['liver', 'spleen'\]",
        ),
        ("labels: {a: one}", "expected labels such as .* found 'a': 'one'"),
        ("labels: {a: 1, b: 1}", "a different value for each label, found 1 for a and for b"),
        ("labels: {a: 1, a: 2}", "found 'a' twice"),
        ("labels: {a: 1}\nregions: {b: [1]}", "expected labels or regions, found both"),
        ("regions: {core: [2], whole: [2]}", "List the regions from large to small"),
        (
            "channels: CT",
            r"expected different names under channels, found 'CT'. Write channels: \[FLAIR",
        ),
        ("channels: [CT, CT]", "expected different names under channels"),
        ("ignore: none", "expected one whole number under ignore, found 'none'"),
        ("labels: {a: 1}\nignore: 1", "an ignore value that no label has, found 1, which is a"),
        (
            "labels: {a: 1, ignore: 2}\nignore: 3",
            "expected one ignore value, found 2 under labels and 3 under ignore",
        ),
        ("channels: &x [CT]\nlabels: *x", r"found an alias \(\*name\)"),
        ("a: " + "[" * 5000, "expected names in YAML"),
        ("#" * 300_000, "found more than 256 KB"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        described(tmp_path, text)


def test_two_descriptions(tmp_path: Path) -> None:
    described(tmp_path, DESCRIPTION)
    (tmp_path / "dataset.yml").touch()
    with pytest.raises(InputError, match=r"found dataset\.yaml and dataset\.yml"):
        read_dataset(tmp_path)


def test_names_that_contradict_a_dataset_json(tmp_path: Path) -> None:
    described(tmp_path, "ignore: 255")
    for name in ("imagesTr/a_0000.nii", "labelsTr/a.nii"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"liver": 1}})
    )
    assert (read_dataset(tmp_path).labels, read_dataset(tmp_path).ignore) == ({"liver": 1}, 255)
    (tmp_path / "dataset.yaml").write_text("labels: {liver: 2}")
    with pytest.raises(InputError, match=r"found different labels from its dataset\.json"):
        read_dataset(tmp_path)
