"""The names that users import are exactly these, and importing segkit costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import segkit

NAMES = [
    "Prediction",
    "Volume",
    "compare",
    "evaluate",
    "load",
    "plan",
    "read_volume",
    "train",
    "write_labels",
]


def test_public_names_are_exactly_these() -> None:
    assert segkit.__all__ == NAMES
    assert sorted(dir(segkit)) == sorted(["__version__", *NAMES])


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_called(name: str) -> None:
    assert callable(getattr(segkit, name))
    assert getattr(segkit, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'segkit' has no attribute 'fit'"):
        segkit.fit  # noqa: B018


def test_importing_segkit_imports_nothing() -> None:
    code = "import segkit, sys; print(*(name for name in sys.modules if name.startswith('segkit')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["segkit", "segkit._version"]


def test_version_is_a_plain_release() -> None:
    assert all(part.isdigit() for part in segkit.__version__.split("."))
