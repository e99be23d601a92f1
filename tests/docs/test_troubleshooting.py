"""The messages that docs/troubleshooting.md quotes are those of the package.

Names and numbers in a quotation are made up, so pairs of neighboring words are compared.
"""

from __future__ import annotations

import ast
import re
from itertools import pairwise

import pytest

from tools.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [message.strip() for message in re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)]
MADE_UP = re.compile(r"\.\.\.|\d[\d.,]*|\b[A-Z]+\b")
"""Names, numbers and places that were left out."""
LEAST_PAIRS = 4
"""Fewest pairs of a quotation that says enough to be compared."""


def pairs_of(text: str) -> list[tuple[str, str]]:
    """Return the pairs of neighboring words.

    >>> pairs_of("is in use by process 12 on HOST")
    [('is', 'in'), ('in', 'use'), ('use', 'by'), ('by', 'process')]
    """
    parts = (re.findall(r"[a-z_.']{2,}", part.lower()) for part in MADE_UP.split(text))
    return [
        (first.strip(".'"), second.strip(".'"))
        for words in parts
        for first, second in pairwise(words)
    ]


@pytest.fixture(scope="module")
def said() -> set[tuple[str, str]]:
    """Pairs of words in all strings of the package."""
    trees = (
        ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "segkit").rglob("*.py")
    )
    texts = (
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {pair for text in texts for pair in pairs_of(text)}


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_in_the_package(message: str, said: set[tuple[str, str]]) -> None:
    pairs = pairs_of(message)
    if len(pairs) >= LEAST_PAIRS:
        assert sum(pair in said for pair in pairs) / len(pairs) > 0.6


def test_a_message_that_nobody_says_is_found(said: set[tuple[str, str]]) -> None:
    pairs = pairs_of("the banana was peeled before the monkey had come home")
    assert sum(pair in said for pair in pairs) / len(pairs) < 0.6
