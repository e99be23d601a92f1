"""ITK's decoders run in a process of their own: a crash costs one file only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.io.dicom.pixels import decoder_process
from segkit.io.dicom.pixels.decoder_process import decode, end

PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end()


def test_one_process_for_many_files_and_a_new_one_after_a_crash(tmp_path: Path, dicom: Any) -> None:
    path = dicom.file(tmp_path / "a.dcm", PIXELS)
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)
    first = decoder_process._running_process()
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)
    assert decoder_process._running_process() is first
    first.kill()
    first.wait()
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)


def test_a_crash_costs_one_file_only(
    tmp_path: Path,
    dicom,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipe without a writer stands for pixels over which a decoder hangs."""
    os.mkfifo(tmp_path / "never.dcm")
    monkeypatch.setattr(decoder_process, "SECONDS", 1.0)
    with pytest.raises(RuntimeError, match="the decoder crashed or took too long"):
        decode(tmp_path / "never.dcm")
    monkeypatch.setattr(decoder_process, "SECONDS", 60.0)
    path = dicom.file(tmp_path / "a.dcm", PIXELS)
    np.testing.assert_array_equal(decode(path).squeeze(), PIXELS)


def test_decoding_error(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="Cannot read requested file"):
        decode(tmp_path / "a.dcm")
