"""Time points of one series, told apart by the time order of the images at each position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io.dicom import open_dicom

TIMES, SLICES = 3, 4
VOXELS = np.arange(TIMES * 2 * 3 * SLICES, dtype=np.int16).reshape(TIMES, 2, 3, SLICES)
Own = Callable[[int, int], Mapping[str, Any]]
Dynamic = Callable[..., Path]


@pytest.fixture
def dynamic(dicom: Any, tmp_path: Path) -> Dynamic:
    """Return dynamic(own), which writes three images at each of four positions.

    ``own(time point, slice)`` returns the elements of an image.
    """

    def write(own: Own, *, without: int | None = None) -> Path:
        for number in set(range(TIMES * SLICES)) - {without}:
            time, place = divmod(number, SLICES)
            common = {
                "Modality": "MR",
                "ImagePositionPatient": [1, 2, 3 + 2 * place],
                "InstanceNumber": None,
            }
            name = tmp_path / "s" / f"IM{number:02d}"
            dicom.file(
                name,
                VOXELS[time, ..., place].T.copy(),
                number=number + 1,
                **common | dict(own(time, place)),
            )
        return tmp_path / "s"

    return write


def past_midnight(kind: str) -> Own:
    moments = [("20260101", "235950"), ("20260102", "000010"), ("20260102", "000030.5")]
    return lambda time, _place: dict(
        zip((f"{kind}Date", f"{kind}Time"), moments[time], strict=True)
    )


ORDERS: dict[str, Own] = {
    "acquisition time": lambda time, _place: {"AcquisitionTime": f"10{time:02d}00"},
    "acquisition time of each slice": lambda time, place: {
        "AcquisitionTime": f"10{time:02d}{place * 3 % 4:02d}"
    },
    "past midnight": past_midnight("Acquisition"),
    "made past midnight": past_midnight("Content"),
    "content time": lambda time, _place: {"ContentTime": f"10{time:02d}00"},
    "rhythm that changes": lambda time, place: {"TriggerTime": time * 33.3 + place * 1.7},
    "phases that overlap": lambda time, place: {
        "TriggerTime": time * (40 - 10 * place) + 1,
        "AcquisitionTime": "10",
    },
    "phases, made in another order": lambda time, place: {
        "TriggerTime": time * 33.3 + place * 1.7,
        "ContentTime": f"10{5 - time:02d}00",
        "InstanceNumber": place * TIMES + time + 1,
    },
    "numbers without order": lambda time, place: {
        "AcquisitionTime": f"10{time:02d}00",
        "InstanceNumber": (time * SLICES + place) * 7 % 13,
    },
}


@pytest.mark.parametrize("own", ORDERS.values(), ids=ORDERS)
def test_time_points_are_named_and_chosen(dynamic: Dynamic, own: Own) -> None:
    place = dynamic(own)
    with pytest.raises(
        InputError,
        match="found 3 groups of images in series 1 that differ in time order at each position",
    ) as error:
        open_dicom(place)
    lines = [line.split(" such as")[0] for line in str(error.value).splitlines()[1:]]
    assert lines == [f"  --series 1:repeat={number}  4 images" for number in (1, 2, 3)]
    for time in range(TIMES):
        source = open_dicom(place, f"1:repeat={time + 1}")
        np.testing.assert_array_equal(source.planes(0, SLICES)[0], VOXELS[time])
        assert source.grid.affine.tolist() == [
            [-1, 0, 0, -1],
            [0, -1, 0, -2],
            [0, 0, 2, 3],
            [0, 0, 0, 1],
        ]


def test_a_time_point_that_does_not_exist(dynamic: Dynamic) -> None:
    with pytest.raises(
        UsageError, match=r"no image fits repeat=4; repeat is 1 \(4\), 2 \(4\), 3 \(4\)"
    ):
        open_dicom(dynamic(ORDERS["acquisition time"]), "repeat=4")


UNKNOWN: dict[str, Own] = {
    "nothing": lambda _time, _place: {},
    "one number": lambda _time, _place: {"InstanceNumber": 1},
    "numbers alone": lambda time, place: {"InstanceNumber": time * SLICES + place},
    "made in no order": lambda time, place: {
        "ContentTime": f"10{(time * SLICES + place) * 7 % 13:02d}00"
    },
    "numbers against times": lambda time, place: {
        "AcquisitionTime": f"10{time:02d}00",
        "InstanceNumber": (TIMES - time) * SLICES + place,
    },
    "a time that some lack": lambda time, place: {
        "AcquisitionTime": f"10{time:02d}00" if place else None
    },
}


@pytest.mark.parametrize("own", UNKNOWN.values(), ids=UNKNOWN)
def test_no_order_is_guessed(dynamic: Dynamic, own: Own) -> None:
    place = dynamic(own)
    with pytest.raises(
        InputError, match="expected one image for each position, found 12 images at 4"
    ):
        open_dicom(place)
    with pytest.raises(UsageError, match=r"no image fits repeat=1; repeat is none \(12\)"):
        open_dicom(place, "repeat=1")


def test_a_position_with_fewer_images_has_no_numbers(dynamic: Dynamic) -> None:
    """After the missing image, the second image at its position is of the third time point."""
    place = dynamic(ORDERS["acquisition time"], without=5)
    with pytest.raises(
        InputError, match="expected one image for each position, found 11 images at 4"
    ):
        open_dicom(place)
    with pytest.raises(UsageError, match=r"repeat is none \(11\)"):
        open_dicom(place, "repeat=2")


def test_trigger_times_that_make_volumes_come_first(dynamic: Dynamic) -> None:
    with pytest.raises(
        InputError, match=r"differ in trigger time(.|\n)*--series 1:trigger=40  4 images"
    ):
        open_dicom(
            dynamic(
                lambda time, _place: {
                    "TriggerTime": 40.0 * time,
                    "AcquisitionTime": f"10{time:02d}00",
                }
            )
        )


def test_each_echo_is_numbered_by_itself(dicom: Any, tmp_path: Path) -> None:
    """In odd slices the second echo comes first, so that counting all images would mix echoes."""
    for index in range(12):
        time, echo, place = index // 6, index // 3 % 2, index % 3
        own = {
            "EchoNumbers": echo + 1,
            "AcquisitionTime": f"10{time:02d}{(echo + place) % 2:02d}",
            "Modality": "MR",
        }
        own |= {"ImagePositionPatient": [0, 0, place]}
        dicom.file(
            tmp_path / "s" / f"{index:02d}",
            np.full((3, 2), index, np.int16),
            number=index + 1,
            **own,
        )
    for choice, words in (
        (None, "echo=2,repeat=2"),
        ("echo=2", "echo=2,repeat=2"),
        ("repeat=2", "repeat=2,echo=2"),
    ):
        with pytest.raises(InputError, match=rf"--series 1:{words}  3 images such as 09"):
            open_dicom(tmp_path / "s", choice)
        assert open_dicom(tmp_path / "s", words).planes(0, 3)[0, 0, 0].tolist() == [9, 10, 11]
    with pytest.raises(
        InputError, match="expected one image for each position, found 6 images at 3"
    ):
        open_dicom(tmp_path / "s", "echo=2,repeat=any")
