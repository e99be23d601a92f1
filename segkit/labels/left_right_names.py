"""Pairs of left and right labels, found by their names. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence

WORDS = (
    ("left", "right"),
    ("links", "rechts"),
    ("linke", "rechte"),
    ("linker", "rechter"),
    ("linkes", "rechtes"),
)
"""Words for the left side, each with the word for the right side."""
LETTERS = (("l", "r"), ("lh", "rh"), ("lt", "rt"))
"""Abbreviations that name a side only if the partner exists: a vertebra may also be called L."""

OTHER_WORD = {word: other for pair in WORDS for word, other in (pair, pair[::-1])}
OTHER_SIDE = OTHER_WORD | {word: other for pair in LETTERS for word, other in (pair, pair[::-1])}

_LEFT = {pair[0] for pair in (*WORDS, *LETTERS)}


def lateral_pairs(names: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the pairs of names that differ only in their side, and sided names without a partner.

    >>> lateral_pairs(["liver", "lung_left", "lung_right", "Kidney-L", "kidney r", "L1"])
    ((('lung_left', 'lung_right'), ('Kidney-L', 'kidney r')), ())
    >>> lateral_pairs(["LeftAtrium", "vertebra L", "lung_right"])
    ((), ('LeftAtrium', 'lung_right'))
    """
    words_of = {name: _words(name) for name in names}
    name_of = {words: name for name, words in words_of.items()}
    pairs, alone = [], []
    for name, words in words_of.items():
        partner = name_of.get(tuple(OTHER_SIDE.get(word, word) for word in words), name)
        if partner != name and (partner, name) not in pairs and name_of[words] == name:
            pairs.append((name, partner))
        elif partner == name and any(word in OTHER_WORD for word in words):
            alone.append(name)
    return tuple(pairs), tuple(alone)


def left_first(first: str, second: str) -> tuple[str, str]:
    """Return a pair of names that differ only in their side, with that of the left side first.

    >>> left_first("kidney_right", "kidney_left")
    ('kidney_left', 'kidney_right')
    """
    for word, other in zip(_words(first), _words(second), strict=True):
        if word != other:
            return (first, second) if word in _LEFT else (second, first)
    return first, second


def _words(name: str) -> tuple[str, ...]:
    """Return the words in lower case, split at punctuation and before a capital inside a word."""
    return tuple(word.lower() for word in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if word)
