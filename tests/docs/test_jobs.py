"""The commands that each page of a job begins with run, in order, as they are written.

They run in a folder with the files that the pages name: a phantom dataset, scans, DICOM, models.
Only lengths and sizes of trainings are replaced, by the file quick.yaml and without
``trainer.max_minutes``. Blocks after ``<!-- not run: WHY -->`` are only parsed, by test_commands.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.card import open_card
from segkit.bundle.lookup import resolve_model
from segkit.cli import main
from segkit.dataset.phantom import write_phantom
from segkit.io import read_labels, read_volume, write_labels
from segkit.networks import new_network
from tools.command_lines import commands
from tools.pages import ROOT

QUICK = """
network.features: [4, 8]
plan: {patch: [16, 16, 16], spacing: [4, 4, 4]}
trainer: {max_steps: 1, precision: float32, layout: contiguous, threads: 1, validations: 1}
"""
TRAINING = ("train", "study", "plan")
FIRST = ("check", "training", "prediction", "evaluation", "dicom", "own_parts")
"""Pages of which the first block runs."""
WHOLE = ("hpc",)
"""Pages of which every block of commands runs that is not marked."""
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(\w*)\n(.*?)```", re.DOTALL)


def blocks(name: str) -> list[tuple[str, str, str]]:
    """Return mark, language and content of the code blocks of a page of docs/."""
    return BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))


def lines_to_run(name: str) -> list[list[str]]:
    """Return the words after ``segkit`` of the commands of a page that run."""
    chosen = blocks(name) if name in WHOLE else blocks(name)[:1]
    shell = [code for mark, language, code in chosen if not mark and language in ("", "bash")]
    return [words for code in shell for words in commands(code)]


def quickened(words: list[str]) -> list[str]:
    """Return a command with the sizes and the length of a quick training."""
    if words[0] not in TRAINING:
        return words
    kept = [word for word in words if not word.startswith("trainer.max_minutes=")]
    return [*kept, "--config", "quick.yaml"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that all pages name, and the run of one training."""
    folder = tmp_path_factory.mktemp("jobs")
    write_phantom(folder / "DATASET", cases=2)
    (folder / "quick.yaml").write_text(QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(quickened(["train", "DATASET"])) == 0
    scan = next((folder / "DATASET" / "imagesTs").iterdir())
    shutil.copy(scan, folder / "scan.nii.gz")
    shutil.copytree(folder / "DATASET" / "imagesTr", folder / "scans")
    for name in ("PREDICTIONS", "REFERENCES", "A", "B", "results"):
        shutil.copytree(folder / "DATASET" / "labelsTr", folder / name)
    write_models(folder)
    return folder


def write_models(folder: Path) -> None:
    """Write MODEL, that of the training, and MODEL_OF_TWO, untrained, with two channels."""
    (run,) = (path.parent for path in (folder / "runs").rglob("finished.json"))
    shutil.copytree(run / "bundle", folder / "MODEL")
    model = read_bundle(run)
    (channel,) = model.plan.channels
    channels = tuple(dataclasses.replace(channel, name=name) for name in ("T1", "FLAIR"))
    plan = dataclasses.replace(model.plan, channels=channels, training=None)
    write_bundle(
        folder / "MODEL_OF_TWO", plan, {"name": "two"}, {"0": new_network(plan).state_dict()}
    )
    for name in ("f.nii.gz", "t.nii.gz"):
        shutil.copy(folder / "scan.nii.gz", folder / name)


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of these files as the current folder."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


def run_page(name: str) -> None:
    run_lines(lines_to_run(name))


def run_lines(lines: Iterable[list[str]]) -> None:
    for words in lines:
        assert main(quickened(words)) == 0, " ".join(words)


def test_check(here: Path) -> None:
    run_page("check")


def test_train(here: Path) -> None:
    run_page("training")
    assert len(list((here / "runs").rglob("finished.json"))) == 3
    assert (here / "plan.json").is_file()


def test_predict(here: Path, dicom: Any) -> None:
    shutil.rmtree("results")
    write_dicom(here, dicom)
    run_page("prediction")
    result, scan = read_volume("scan_seg.nii.gz"), read_volume("scan.nii.gz")
    assert result.array.shape == scan.array.shape
    assert np.allclose(result.affine, scan.affine, atol=1e-4)
    assert len(list((here / "results").glob("*_preview.png"))) == 2


def test_evaluate(here: Path) -> None:
    run_page("evaluation")
    assert (here / "report" / "report.html").is_file()


def blocks_of_section(page: str, title: str) -> list[str]:
    """Return the code blocks of a page from a heading on."""
    section = (ROOT / page).read_text(encoding="utf-8").partition(f"\n## {title}\n")[2]
    return [code for _, _, code in BLOCK.findall(section)]


def test_your_own_data(here: Path) -> None:
    yaml, lines, *_ = blocks_of_section("README.md", "Your own data")
    for folder in ("ct/images", "ct/labels", "new_scans"):
        Path(folder).mkdir(parents=True)
    for number, scan in enumerate(sorted(Path("scans").iterdir()), start=1):
        shutil.copy(scan, f"ct/images/p{number}.nii.gz")
        shutil.copy(scan, f"new_scans/new_{number}.nii.gz")
        labels = read_labels(f"REFERENCES/{scan.name}")
        values = np.array([0, 1, 5, 0, 0], np.uint8)[labels.array]  # those in the README
        write_labels(f"ct/labels/p{number}.nii.gz", labels.with_array(values))
    Path("ct/dataset.yaml").write_text(yaml)
    shutil.rmtree("results")
    run_lines(commands(lines))
    assert len(list(Path("new_results").glob("*.nii.gz"))) == 2
    assert read_bundle("ct.segkit").plan.labels == {"spleen": 1, "liver": 5}


def test_read_the_report(here: Path) -> None:
    shutil.rmtree("results")
    run_lines(commands(blocks_of_section("docs/evaluation.md", "Read the report")[0]))
    assert "phantom_A" in (here / "report" / "report.html").read_text(encoding="utf-8")


def test_dicom(here: Path, dicom: Any) -> None:
    shutil.rmtree("results")
    write_dicom(here, dicom)
    run_page("dicom")
    assert len(list((here / "volumes").glob("*.nii.gz"))) == 2
    assert len(list((here / "results").glob("*.dcm"))) == 2


def test_cluster(here: Path) -> None:
    shutil.rmtree("results")
    run_page("hpc")
    scans = {path.name for path in (here / "scans").iterdir()}
    lists = {"predictions-1-of-2.json", "predictions-2-of-2.json"}
    assert {path.name for path in (here / "results").iterdir()} == scans | lists


def test_own_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = {language: text for _, language, text in blocks("own_parts") if language}
    assert len(code["python"].splitlines()) < 40
    install(here / "site", code, monkeypatch)
    run_page("own_parts")
    assert open_card(resolve_model()).plan.network.name == "plain"
    assert (here / "scan_seg.nii.gz").is_file()


def install(site: Path, code: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the package of the page, as pip would, into a folder of its own."""
    project = tomllib.loads(code["toml"])["project"]
    about = site / f"my_parts-{project['version']}.dist-info"
    about.mkdir(parents=True)
    facts = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(facts)
    points = [
        line
        for group, names in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {where}" for name, where in names.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(points) + "\n")
    (site / "my_parts.py").write_text(code["python"])
    monkeypatch.syspath_prepend(site)


def write_dicom(folder: Path, dicom: Any) -> None:
    """Write the DICOM folders that the pages name; a volume is 3 slices of 16 x 16 pixels."""
    voxels = np.random.default_rng(0).integers(0, 500, (16, 16, 3)).astype(np.int16)

    def series(where: str, number: int, study: str = "1.2.3", **elements: Any) -> None:
        names = {"SeriesNumber": number, "StudyInstanceUID": study, "Modality": "MR", **elements}
        dicom.series(folder / where, voxels, series=f"{study}.{number}", **names)

    for where in ("scan_folder", "dicom_folder", "t1_folder", "flair", "patients/a"):
        series(where, 1)
    series("patients/b", 1, "1.2.4")
    shutil.make_archive(str(folder / "flair"), "zip", folder / "flair")
    for number in (1, 2):
        series(f"study/{number}", number)
        series(f"whole_study/{number}", number)
    for echo in (1, 2):
        series(f"study/3/{echo}", 3, EchoNumbers=str(echo), EchoTime=str(5 * echo))


@pytest.mark.parametrize("name", [*FIRST, *WHOLE])
def test_a_page_of_a_job_begins_with_its_commands(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    _, _, code = blocks(name)[0]
    assert text.index(code) < text.index("\n## ")
    assert any(commands(code))
    assert f"(docs/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_is_not_run_needs_what_is_not_here() -> None:
    marks = {mark for name in (*FIRST, *WHOLE) for mark, _, _ in blocks(name) if mark}
    assert marks <= {
        f"<!-- not run: needs {what} -->\n" for what in ("SLURM", "a GPU", "a network")
    }


def test_a_command_that_fails_is_found(here: Path) -> None:
    with pytest.raises(AssertionError, match="predict nothing"):
        run_lines(commands("segkit predict nothing.nii.gz"))
