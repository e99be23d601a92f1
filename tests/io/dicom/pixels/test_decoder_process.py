"""ITK's decoders run in a process of their own: what ends it costs one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segkit.io.dicom.pixels import decoder_process
from segkit.io.dicom.pixels.decoder_process import decode, end

PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end()


def test_one_process_for_many_files_and_a_new_one_where_it_died(tmp_path: Path, dicom) -> None:  # type: ignore[no-untyped-def]
    path = dicom.file(tmp_path / "a.dcm", PIXELS)
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)
    first = decoder_process._running_process()
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)
    assert decoder_process._running_process() is first
    first.kill()
    first.wait()
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)


def test_a_file_that_ends_the_process_costs_itself_only(
    tmp_path: Path,
    dicom,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipe that nobody writes to stands for pixels over which a decoder never ends."""
    os.mkfifo(tmp_path / "never.dcm")
    monkeypatch.setattr(decoder_process, "SECONDS", 1.0)
    with pytest.raises(RuntimeError, match="the decoder's process ended over it"):
        decode(tmp_path / "never.dcm")
    monkeypatch.setattr(decoder_process, "SECONDS", 60.0)
    path = dicom.file(tmp_path / "a.dcm", PIXELS)
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)


def test_what_cannot_be_decoded_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="Cannot read requested file"):
        decode(tmp_path / "a.dcm")
