"""Streams are read whole, however their length falls onto the blocks in which they are read."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io.gzip_stream import unpack

MIB = 1 << 20
"""Number of bytes that are unpacked at a time."""


@pytest.mark.parametrize("rest", [1, 2, 50, 5000])
def test_a_zlib_stream_that_ends_shortly_after_a_block(tmp_path: Path, rest: int) -> None:
    """The decompressor then has taken all input, and still holds output."""
    values = (np.arange(MIB + rest) % 97 == 0).astype(np.uint8)
    (tmp_path / "x").write_bytes(zlib.compress(values.tobytes(), 1))
    assert np.array_equal(unpack(tmp_path / "x", MIB + rest, form="zlib"), values)


def test_a_zlib_stream_that_is_cut_off(tmp_path: Path) -> None:
    content = zlib.compress(np.random.default_rng(0).bytes(MIB))
    (tmp_path / "x").write_bytes(content[:-100])
    with pytest.raises(InputError, match="ends too early"):
        unpack(tmp_path / "x", MIB, form="zlib")
