"""Images of a series are selected by their properties: ``--series 1:echo=2,type=M``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io.dicom import open_dicom

VOXELS = np.arange(2 * 3 * 6, dtype=np.int16).reshape(2, 3, 6)
Elements = Mapping[str, Any]


@pytest.fixture
def echoes(dicom: Any, tmp_path: Path) -> Path:
    """Write a magnitude and a phase image of two echoes at three positions."""
    for index in range(12):
        echo, kind, place = index // 6, index // 3 % 2, index % 3
        own = {
            "EchoNumbers": echo + 1,
            "ImageType": ["ORIGINAL", "PRIMARY", "MP"[kind]],
            "ImagePositionPatient": [0, 0, place],
        }
        dicom.file(
            tmp_path / "e" / f"{index}", np.full((3, 2), index, np.int16), number=index + 1, **own
        )
    return tmp_path / "e"


def test_numbers_mean_the_same_with_any_selection(dicom: Any, tmp_path: Path) -> None:
    """The gradients of b=1000 are numbers 2 and 3 in the series and in the selection."""
    kinds: list[Elements] = [{"DiffusionBValue": 0.0}]
    kinds += [
        {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": way}
        for way in ([1, 0, 0], [0, 1, 0])
    ]
    for index in range(9):
        own = {**kinds[index // 3], "ImagePositionPatient": [0, 0, index % 3]}
        dicom.file(
            tmp_path / "d" / f"{index}", np.full((3, 2), index, np.int16), number=index + 1, **own
        )
    for choice in (None, "b=1000"):
        with pytest.raises(
            InputError, match=r"gradient=2  3 images such as 3(.|\n)*gradient=3  3 images such as 6"
        ):
            open_dicom(tmp_path / "d", choice)
    assert open_dicom(tmp_path / "d", "b=1000,gradient=3").planes(0, 3)[0, 0, 0].tolist() == [
        6,
        7,
        8,
    ]


def test_several_criteria(echoes: Path) -> None:
    with pytest.raises(
        InputError, match=r"found 4 groups .* differ in image type and echo number"
    ) as error:
        open_dicom(echoes)
    assert "--series 1:type=P,echo=2  3 images such as 9" in str(error.value)
    with pytest.raises(InputError, match=r"found 2 groups .* differ in image type") as error:
        open_dicom(echoes, "echo=2")
    assert "--series 1:echo=2,type=P  3 images such as 9" in str(error.value)
    assert open_dicom(echoes, "1:echo=2,type=p").planes(0, 3)[0, 0, 0].tolist() == [9, 10, 11]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("1:echo=3", r"--series echo=3: no image fits echo=3; echo is 1 \(6\), 2 \(6\)"),
        ("echo=1,echo=2", "no image fits all criteria; 6 fit echo=2"),
        ("1:color=red", "--series color=red: write WORD=VALUE,... with the words patient, study"),
        ("2:echo=1", "--series 2:echo=1: no series fits; give the first number"),
    ],
)
def test_selections_that_fit_nothing(echoes: Path, choice: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_dicom(echoes, choice)


def test_a_description_may_look_like_a_selection(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS, SeriesDescription="T2: b=0")
    assert open_dicom(tmp_path / "s", "T2: b=0").selection == ""
    assert open_dicom(tmp_path / "s", "T2: b=0:modality=CT").selection == "modality=CT"
