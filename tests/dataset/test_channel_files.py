"""Tests of grouping files by case and channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.dataset.channel_files import group_channels
from segkit.errors import InputError


def files(*names: str) -> list[Path]:
    return [Path("d", name) for name in names]


def test_channels_in_their_order_and_a_name_without_number() -> None:
    found = group_channels(files("a_0001.nii", "a_0000.nii", "b.nii"))
    assert found == {"a": tuple(files("a_0000.nii", "a_0001.nii")), "b": tuple(files("b.nii"))}


def test_channel_twice() -> None:
    with pytest.raises(InputError, match="found 'a' twice"):
        group_channels(files("a_0000.nii", "a_0000.mha"))


def test_what_is_missing_is_named() -> None:
    expected = (
        r"d: expected the channels of a numbered from _0000 without a gap, found _0000, _0003, "
    )
    with pytest.raises(InputError, match=expected + r"without _0001 \(T1\), _0002\."):
        group_channels(files("a_0000.nii", "a_0003.nii"), ["FLAIR", "T1"])
    with pytest.raises(
        InputError, match=r"found _9999, without _0000, _0001, _0002, _0003 and 9995 more\."
    ):
        group_channels(files("a_9999.nii"))
