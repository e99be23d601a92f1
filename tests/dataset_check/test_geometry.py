from __future__ import annotations

from collections.abc import Callable

from segkit.dataset_check.geometry import tiny_voxels, unusual_spacing

from .conftest import facts


def edges(*lengths: float) -> list:
    return [facts(f"c{number}", spacing=(each,) * 3) for number, each in enumerate(lengths)]


def test_a_header_wrong_by_a_power_of_ten(measured: Callable) -> None:
    (problem,) = unusual_spacing(measured(edges(0.8, 0.8, 8.0)))
    assert problem.case == "c2"
    assert problem.message == (
        "voxels of 8 x 8 x 8 where the median is 0.8 x 0.8 x 0.8. Is its header wrong by a factor"
        " of 10?"
        " Correct the header, or leave the case out"
    )
    (problem,) = unusual_spacing(measured(edges(0.8, 0.8, 0.0008)))
    assert "Are its lengths in meters?" in problem.message
    (problem,) = unusual_spacing(measured(edges(0.8, 0.8, 800)))
    assert "Are its lengths in micrometers?" in problem.message


def test_all_in_meters(measured: Callable) -> None:
    (problem,) = tiny_voxels(measured(edges(0.001, 0.001, 0.0009)))
    assert problem.message.startswith(
        "voxels of 0.001 x 0.001 x 0.001 mm in 3 of 3 cases are smaller than"
    )


def test_usual_voxels(measured: Callable) -> None:
    sound = measured(edges(0.8, 1.0, 2.0))
    assert [*unusual_spacing(sound), *tiny_voxels(sound)] == []
