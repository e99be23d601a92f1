from __future__ import annotations

import pytest

from segkit.errors import UsageError
from segkit.units import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4e9), ("512MiB", 512 * 2**20), ("1.5g", 1.5e9), ("100", 100), ("2 TB", 2e12)],
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["lots", "GB", "-1GB", "1..5GB", ""])
def test_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is not a size"):
        parse_size(text)


def test_sizes_in_words() -> None:
    assert [size_text(size) for size in (12, 2000, 5e12)] == ["12 bytes", "2.0 KB", "5000.0 GB"]
