"""DICOM is read and written in Python 3.14, for which pyjpegls has no wheel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.io.dicom import how_to_install

pydicom = pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")


def test_how_to_install_names_what_the_extra_leaves_out() -> None:
    assert how_to_install("highdicom", (3, 14)) == (
        "pip install --no-deps highdicom (it requires pyjpegls, which has no wheel for Python 3.14)"
    )
    assert (
        how_to_install("highdicom", (3, 13))
        == how_to_install("pydicom", (3, 14))
        == "pip install 'segkit[dicom]'"
    )


def test_jpeg_ls_is_decoded_without_it(dicom: Any, tmp_path: Path) -> None:
    pytest.importorskip(
        "jpeg_ls", reason="pyjpegls, which packs the pixels of this test, is not here"
    )
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    path = dicom.file(tmp_path / "slice.dcm", pixels, RescaleSlope=1, RescaleIntercept=0)
    packed = pydicom.dcmread(path)
    packed.compress(pydicom.uid.JPEGLSLossless, encoding_plugin="pyjpegls")
    packed.save_as(path, enforce_file_format=True)
    code = (
        "import sys; from pathlib import Path; sys.modules['jpeg_ls'] = None\n"
        "from segkit.io import open_source\n"
        f"print(open_source(Path({str(path)!r})).planes(0, 1).ravel().tolist())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(json.loads(found.stdout)) == list(range(64))


def test_decoding_error_names_pyjpegls(monkeypatch: pytest.MonkeyPatch) -> None:
    from segkit.io.dicom.pixels.decode import _first_remedy  # noqa: PLC0415, needs the extra

    monkeypatch.setitem(sys.modules, "jpeg_ls", None)
    assert _first_remedy(pydicom.uid.JPEGLSLossless).startswith(
        "pip install pyjpegls, with which pydicom decodes it"
    )
    assert _first_remedy(pydicom.uid.JPEG2000) == "Copy the file again if it is damaged"
