"""Labels that are left or right by name, and their partners. Standard library only."""

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
"""Each says the side by itself."""
LETTERS = (("l", "r"), ("lh", "rh"), ("lt", "rt"))
"""Each says the side only where the partner is there too: a vertebra may be called L as well."""

OTHER_WORD = {word: other for pair in WORDS for word, other in (pair, pair[::-1])}
OTHER_SIDE = OTHER_WORD | {word: other for pair in LETTERS for word, other in (pair, pair[::-1])}


def lateral_pairs(names: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Pairs of names that differ in nothing but their side, and names with a side but no partner.

    >>> lateral_pairs(["liver", "lung_upper_lobe_left", "lung_upper_lobe_right", "Kidney-L", "kidney r", "L1"])
    ((('lung_upper_lobe_left', 'lung_upper_lobe_right'), ('Kidney-L', 'kidney r')), ())
    >>> lateral_pairs(["LeftAtrium", "vertebra L", "lung_middle_lobe_right", "lung_upper_lobe_left"])
    ((), ('LeftAtrium', 'lung_middle_lobe_right', 'lung_upper_lobe_left'))
    """
    words = {name: _words(name) for name in names}
    known = {found: name for name, found in words.items()}
    pairs, alone = [], []
    for name, found in words.items():
        partner = known.get(tuple(OTHER_SIDE.get(word, word) for word in found), name)
        if partner != name and (partner, name) not in pairs and known[found] == name:
            pairs.append((name, partner))
        elif partner == name and any(word in OTHER_WORD for word in found):
            alone.append(name)
    return tuple(pairs), tuple(alone)


def _words(name: str) -> tuple[str, ...]:
    """Words in small letters, split where neither letters nor digits stand, and before a capital inside a word."""
    return tuple(word.lower() for word in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if word)
