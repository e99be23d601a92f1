from __future__ import annotations

import pytest

from segkit.errors import UsageError
from segkit.memory import available_bytes, parse_size, size_text


def test_some_memory_is_there() -> None:
    assert available_bytes() > 1 << 20


@pytest.mark.parametrize(("text", "size"), [("4GB", 4 << 30), ("512MiB", 512 << 20), ("1.5g", 3 << 29), ("100", 100)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_no_size() -> None:
    with pytest.raises(UsageError, match="'lots' is not a size"):
        parse_size("lots")


def test_sizes_in_words() -> None:
    assert [size_text(size) for size in (12, 2048, 5 << 40)] == ["12 bytes", "2.0 KiB", "5120.0 GiB"]
