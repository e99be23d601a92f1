"""Whatever fault is planted in a dataset or a scan is said; of sound ones nothing is said.

Each dataset is checked, trained on for 2 steps and used to predict a scan. The fast tests take one
of each kind.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.bundle.bundle import read_bundle
from segkit.dataset.layouts import read_dataset
from segkit.dataset.names_from_files import with_names
from segkit.dataset_check import Problem, check
from segkit.errors import InputError
from segkit.inference.predictor import Predictor
from segkit.io import read_volume

from . import generated
from .generated import (
    Made,
    Random,
    inverted,
    mask_of,
    smoothed,
    through_jpeg,
    write,
    write_pictures,
)

PLANTED, SOUND = 300, 100
SMALL = [
    "network.features=[4,8]",
    "trainer.max_steps=2",
    "trainer.validations=1",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
]
LOGGERS = (
    "segkit.planning",
    "segkit.fingerprint",
    "segkit.preprocessing",
    "segkit.dataset.layouts",
)
"""Loggers of what is said about data; others warn of trainings of 2 steps."""
SCAN = {"mr": "MR", "ct": "CT"}
REAL = {
    "Task04_Hippocampus": ["intensity_groups"],
    "fetal_brain": ["stray_voxels"],
    "retina": [],
    "brain_tumour/cases.csv": [],
}
"""Public datasets, with the checks whose findings docs/check.md lists one by one."""


@dataclass(frozen=True)
class Fault:
    """How to write a dataset with the fault, and what must be said of it."""

    write: Callable[[Path, Random], Path]
    said: str
    trains: bool = True
    """Whether it is a warning, with which a training goes on."""


def changed(
    kind: str, change: Callable[[Made, Random], Made], *, channel: str = "", every: bool = False
) -> Callable:
    """One case, or every case, of a sound dataset is changed."""

    def written(folder: Path, random: Random) -> Path:
        cases = generated.sound(random, kind)
        chosen = range(len(cases)) if every else [int(random.integers(len(cases)))]
        for number in chosen:
            cases[number] = change(cases[number], random)
        return write(folder, cases, channel or SCAN[kind])

    return written


def pictures(mask: Callable[[int, Made], object]) -> Callable:
    def written(folder: Path, random: Random) -> Path:
        cases = generated.sound(random, "picture")
        return write_pictures(
            folder, cases, [mask(number, made) for number, made in enumerate(cases)]
        )

    return written


def copied(folder: Path, random: Random) -> Path:
    cases = generated.sound(random, "mr")
    return write(
        folder, [*cases, replace(cases[int(random.integers(len(cases)))], id="again")], "MR"
    )


def time_points(folder: Path, random: Random) -> Path:
    cases = generated.sound(random, "mr")
    word = random.choice(["_tp", "-visit", "_ses-"])
    return write(
        folder,
        [replace(made, id=f"pat{n // 2}{word}{n % 2 + 1}") for n, made in enumerate(cases)],
        "MR",
    )


def thin_label(folder: Path, random: Random) -> Path:
    """Most scans have thick slices; in one with thin slices the core is one thin slice high."""
    cases = [replace(made, edges=(1.0, 1.0, 4.0)) for made in generated.sound(random, "mr")]
    labels = np.minimum(cases[0].labels, 1)
    labels[8:12, 8:12, labels.shape[2] // 2] = 2
    return write(
        folder, [replace(cases[0], labels=labels, edges=(1.0, 1.0, 0.8)), *cases[1:]], "MR"
    )


def one_core(folder: Path, random: Random) -> Path:
    first, *others = generated.sound(random, "mr")
    return write(
        folder, [first, *(replace(made, labels=without_core(made.labels)) for made in others)], "MR"
    )


def cut_file(folder: Path, random: Random) -> Path:
    cases = generated.sound(random, "mr")
    write(folder, cases, "MR")
    path = folder / f"imagesTr/{cases[-1].id}_0000.nii.gz"
    path.write_bytes(path.read_bytes()[: int(random.integers(200, 2000))])
    return folder


def moved_label(folder: Path, random: Random) -> Path:
    cases = generated.sound(random, "mr")
    write(folder, cases, "MR")
    generated.save(
        folder / f"labelsTr/{cases[0].id}.nii.gz", cases[0].labels[:, :, 1:], (1.0, 1.0, 3.3)
    )
    return folder


def scaled_edges(factor: float) -> Callable[[Made, Random], Made]:
    return lambda made, _: replace(made, edges=tuple(edge * factor for edge in made.edges))  # type: ignore[arg-type]


def values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Made, Random], Made]:
    return lambda made, _: replace(made, image=change(made.image))


def labels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Made, Random], Made]:
    return lambda made, _: replace(made, labels=change(made.labels))


def with_nan(image: np.ndarray) -> np.ndarray:
    holed = image.copy()
    holed[5, 5, 5] = np.nan
    return holed


def without_core(array: np.ndarray) -> np.ndarray:
    return np.minimum(array, 1)


def as_ct(made: Made, random: Random) -> Made:
    return generated.ct(random, made.id)


def as_mr_values(image: np.ndarray) -> np.ndarray:
    """From -47, as interpolation leaves it, to about 800."""
    return (image + 1024) * np.float32(0.7) - 47


FAULTS: dict[str, Fault] = {
    "a CT without its name": Fault(
        changed("ct", lambda made, _: made, channel="image"), r"dataset\.channels=\[CT\]"
    ),
    "an MR among CT": Fault(
        changed("ct", values(as_mr_values)), "Is this scan a CT in Hounsfield units"
    ),
    "a CT among MR": Fault(changed("mr", as_ct), "look like CT"),
    "one CT without its offset": Fault(
        changed("ct", values(lambda a: a + 1024)), "none is below 0"
    ),
    "all CT without their offset": Fault(
        changed("ct", values(lambda a: a + 1024), every=True), "none is below 0"
    ),
    "one CT with the offset twice": Fault(
        changed("ct", values(lambda a: a - 1024)), "the median of label"
    ),
    "a scaled CT": Fault(
        changed("ct", values(lambda a: a / np.float32(1000))), "seem to be scaled"
    ),
    "a CT of 8 bits": Fault(
        changed("ct", values(lambda a: ((a + 1024) / 16).astype(np.uint8))), "8 bits|scaled"
    ),
    "edges about 10 times too long": Fault(changed("mr", scaled_edges(8.5)), "by a factor of 10"),
    "one case in metres": Fault(changed("mr", scaled_edges(0.001)), "in meters"),
    "all cases in metres": Fault(changed("mr", scaled_edges(0.001), every=True), "in meters"),
    "smoothed masks": Fault(
        pictures(lambda _, made: smoothed(mask_of(made))), "only seams of 1 or 2 voxels"
    ),
    "masks through JPEG": Fault(
        pictures(lambda _, made: through_jpeg(mask_of(made))), "only seams of 1 or 2 voxels"
    ),
    "masks of 255 and of 1": Fault(
        pictures(lambda n, made: mask_of(made, 1 if n % 2 else 255)), "saved in two ways"
    ),
    "an inverted mask": Fault(
        pictures(lambda n, made: (mask_of if n else inverted_mask)(made)), "is labeled, where"
    ),
    "a label thinner than the slices": Fault(thin_label, "label core: resampling to voxels of"),
    "a copy": Fault(copied, "are the same scan, voxel for voxel"),
    "time points": Fault(time_points, "look like time points of one patient"),
    "a constant scan": Fault(changed("mr", values(np.zeros_like)), "has one constant value"),
    "an empty label map": Fault(changed("mr", labels(np.zeros_like)), "no voxel of any label"),
    "a label in one case only": Fault(one_core, "label core occurs in 1 of"),
    "an unknown label": Fault(
        changed("mr", labels(lambda a: a * np.uint8(3))), "found also 3", trains=False
    ),
    "a voxel that is no number": Fault(
        changed("mr", values(with_nan)), "expected a number in every voxel", trains=False
    ),
    "a label that nobody drew": Fault(
        changed("mr", labels(without_core), every=True), "label core occurs"
    ),
    "a label map on another grid": Fault(
        moved_label, "expected a label map on the grid of the scan", trains=False
    ),
    "a file that is cut off": Fault(cut_file, "imagesTr", trains=False),
}


def inverted_mask(made: Made) -> object:
    return inverted(mask_of(made))


def problems_of(folder: Path) -> list[Problem]:
    """Return the errors and warnings; a note only says that a case is unlike the others."""
    problems = check(with_names(read_dataset(folder), skip_unreadable=True))
    return [problem for problem in problems if problem.severity != "note"]


def checked(folder: Path) -> list[str]:
    return [problem.message for problem in problems_of(folder)]


@pytest.fixture
def trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[Path], tuple[Path, list[str]]]]:
    """trained(folder) trains for 2 steps: the run's folder and what was said about the data."""

    def train(folder: Path) -> tuple[Path, list[str]]:
        caplog.clear()
        run = tmp_path / "run"
        segkit.train(
            f"dataset={folder}", f"run_dir={run}", f"dataset.store={tmp_path / 'store'}", *SMALL
        )
        return run, warned(caplog)

    yield train
    shutil.rmtree(tmp_path)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [
        each
        for each in caplog.records
        if each.levelno >= logging.WARNING and each.name.startswith(LOGGERS)
    ]
    return [each.getMessage() for each in found]


def said(pattern: str, messages: Sequence[str]) -> bool:
    return any(re.search(pattern, message) for message in messages)


def found_by_check_and_training(name: str, seed: int, folder: Path, train: Callable) -> None:
    fault = FAULTS[name]
    data = fault.write(folder / "data", np.random.default_rng(seed))
    assert said(fault.said, checked(data)), (name, seed)
    if fault.trains:
        run, messages = train(data)
        assert said(fault.said, messages), (name, seed, messages)
        first = next(path for path in sorted(data.rglob("*")) if path.suffix in (".gz", ".png"))
        Predictor(read_bundle(run)).predict(first)
    else:
        with pytest.raises(InputError, match=fault.said):
            train(data)


def nothing_is_said(data: Path, train: Callable, known: Sequence[str] = ()) -> None:
    """Check that only the findings of these checks are said, and none by a training."""
    assert {problem.check for problem in problems_of(data)} == set(known)
    run, messages = train(data)
    assert messages == []
    dataset = read_dataset(data)
    predictor = Predictor(read_bundle(run))
    for case in dataset.cases[:2]:
        if len(case.images) == 1:
            assert predictor.prediction(case.images[0]).scan_warnings == ()


def write_sound(folder: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    kind = ("mr", "ct", "picture")[seed % 3]
    cases = generated.sound(random, kind)
    if kind == "picture":
        return write_pictures(folder, cases, [mask_of(made) for made in cases])
    return write(folder, cases, SCAN[kind])


@pytest.mark.parametrize("name", FAULTS)
def test_check_says_each_fault(name: str, tmp_path: Path) -> None:
    data = FAULTS[name].write(tmp_path, np.random.default_rng(1))
    assert said(FAULTS[name].said, checked(data))


@pytest.mark.parametrize(
    "name", ["an MR among CT", "a CT without its name", "masks of 255 and of 1", "an unknown label"]
)
def test_training_says_a_fault(name: str, tmp_path: Path, trained: Callable) -> None:
    found_by_check_and_training(name, 2, tmp_path, trained)


@pytest.mark.parametrize("seed", range(3))
def test_check_says_nothing_of_sound_data(seed: int, tmp_path: Path) -> None:
    assert checked(write_sound(tmp_path, seed)) == []


def test_nothing_is_said_of_a_sound_ct(tmp_path: Path, trained: Callable) -> None:
    nothing_is_said(write_sound(tmp_path / "data", 1), trained)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PLANTED))
def test_every_planted_fault_is_said(seed: int, tmp_path: Path, trained: Callable) -> None:
    names = list(FAULTS)
    found_by_check_and_training(names[seed % len(names)], 100 + seed, tmp_path, trained)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SOUND - 4))
def test_nothing_is_said_of_sound_data(seed: int, tmp_path: Path, trained: Callable) -> None:
    nothing_is_said(write_sound(tmp_path / "data", 1000 + seed), trained)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_nothing_else_is_said_of_real_data(name: str, data_root: Path, trained: Callable) -> None:
    nothing_is_said(data_root / name, trained, REAL[name])


@pytest.mark.slow
def test_nothing_is_said_of_a_real_ct(data_root: Path, tmp_path: Path, trained: Callable) -> None:
    """The one labelled CT, as three cases of neighboring parts."""
    scan, labels = (voxels_of(data_root / f"ct/example_{name}.nii.gz") for name in ("ct_sm", "seg"))
    cases = [
        Made(
            f"part{n}",
            scan[2 * n : 100 + 2 * n],
            np.minimum(labels[2 * n : 100 + 2 * n], 2),
            (3.0, 3.0, 3.0),
        )
        for n in range(3)
    ]
    nothing_is_said(write(tmp_path / "data", cases, "CT"), trained)


def voxels_of(path: Path) -> np.ndarray:
    return np.asarray(read_volume(path).array[0])


SCAN_FAULTS: dict[str, tuple[str, Callable[[Made, Random], Made], str]] = {
    "a CT without its offset": ("ct", values(lambda a: a + 1024), "none is below 0"),
    "a scaled CT": ("ct", values(lambda a: a / np.float32(1000)), "too narrow"),
    "an MR for a model of CT": (
        "ct",
        values(as_mr_values),
        "the training data reach .* Is this scan a CT",
    ),
    "a CT for a model of MR": ("mr", as_ct, "look like CT"),
    "edges about 10 times too long": ("mr", scaled_edges(8.5), "voxels of"),
    "a scan in metres": ("mr", scaled_edges(0.001), "voxels of"),
    "a constant scan": ("mr", values(np.zeros_like), "one constant value"),
    "a whole body": (
        "mr",
        lambda made, _: replace(made, image=np.tile(made.image, (1, 1, 4))),
        "the field of view is",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCAN)
def test_prediction_says_the_faults_of_scans(kind: str, tmp_path: Path, trained: Callable) -> None:
    random = np.random.default_rng(5)
    run, _ = trained(write(tmp_path / "data", generated.sound(random, kind), SCAN[kind]))
    predictor = Predictor(read_bundle(run))
    for name, (model, change, pattern) in SCAN_FAULTS.items():
        for number in range(5 if model == kind else 0):
            made = change(generated.KINDS[kind](random, name), random)
            path = generated.save(tmp_path / f"{number}.nii.gz", made.image, made.edges)
            assert said(pattern, predictor.prediction(path).scan_warnings), name
