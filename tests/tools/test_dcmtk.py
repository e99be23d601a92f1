"""storescu of DCMTK sends a BINARY DICOM-SEG with -R only, an RTSTRUCT as it is, and a LABELMAP not
at all.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver(tools: Any, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The port of a storescp that this test starts and ends, and the folder that it writes to."""
    program = tools.find("storescp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder = tmp_path / "received"
    folder.mkdir()
    with subprocess.Popen([program, "--promiscuous", "-od", str(folder), port]) as process:
        try:
            _wait_for(port)
            yield port, folder
        finally:
            process.terminate()


def _wait_for(port: str) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        time.sleep(0.05)
    pytest.fail("storescp does not answer")


def test_what_is_sent_arrives(
    written: Any, tools: Any, receiver: tuple[str, Path], dicom: Any
) -> None:
    port, folder = receiver
    send = ("storescu", "127.0.0.1", port)
    assert tools.run(*send, "-R", written.file("binary.dcm")).returncode == 0
    (arrived,) = folder.iterdir()
    sent, got = dicom.pydicom.dcmread(written.file("binary.dcm")), dicom.pydicom.dcmread(arrived)
    assert np.array_equal(got.pixel_array, sent.pixel_array)
    assert got.PerFrameFunctionalGroupsSequence == sent.PerFrameFunctionalGroupsSequence
    assert tools.run(*send, written.file("rtstruct.dcm")).returncode == 0


def test_what_is_refused(written: Any, tools: Any, receiver: tuple[str, Path]) -> None:
    send = ("storescu", "127.0.0.1", receiver[0])
    for words in (
        [written.file("binary.dcm")],
        ["-R", written.file("labelmap.dcm")],
        [written.file("labelmap.dcm")],
    ):
        assert tools.run(*send, *words).returncode != 0, (
            "storescu sends it by now: correct docs/dicom.md"
        )
