"""A process that measures memory."""

from __future__ import annotations

import pytest

from segkit.errors import SegkitError
from segkit.studies.memory_process import MemoryProcess


def test_the_message_says_why_the_process_ended() -> None:
    with (
        MemoryProcess("no_such_module", "a window") as process,
        pytest.raises(SegkitError, match=r"a window failed: its process has ended: .*No module"),
    ):
        process.bytes_of({})
