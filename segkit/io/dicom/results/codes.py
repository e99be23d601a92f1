"""The codes of segments: those that the dataset gives, else SNOMED CT's where a name says what it is, else "tissue".

A name is taken for a code of DICOM's context groups of segmented properties only where the words are the same, so that
``left_kidney`` becomes Kidney (Left), and ``label_3`` nothing.
"""

# mypy: allow-untyped-calls
# (the code dictionary of pydicom has no annotations)

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cache

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from segkit.labels.codes import UNKNOWN, SegmentCodes, Term

_GROUPS = {
    "cid7192": codes.SCT.AnatomicalStructure,
    "cid7191": codes.SCT.Tissue,
    "cid7194": codes.SCT.MorphologicallyAbnormalStructure,
    "cid7197": codes.SCT.BodySubstance,
}
"""Context groups of PS3.16 and the category of what each lists; earlier ones first."""
_SAME = {"tumor": "neoplasm", "tumour": "neoplasm", "oesophagus": "esophagus", "oedema": "edema"}
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True)
class Meaning:
    """What a segment is: category, type, its modifier (such as the side), and where in the body."""

    category: Code
    kind: Code
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None


def meaning_of(name: str, given: SegmentCodes = UNKNOWN) -> Meaning:
    """The codes of a label: the given ones where there is a category and a type, else by its name."""
    modifier, region, region_modifier = (
        _code(term) if term else None
        for term in (given.kind_modifier, given.region, given.region_modifier)
    )
    if given.category and given.kind:
        return Meaning(_code(given.category), _code(given.kind), modifier, region, region_modifier)
    return dataclasses.replace(_by_name(name), region=region, region_modifier=region_modifier)


def _code(term: Term) -> Code:
    return Code(term.value, term.scheme, term.meaning)


def _by_name(name: str) -> Meaning:
    """The codes of a label.

    >>> _by_name("left_kidney").kind.meaning, _by_name("left_kidney").modifier.meaning
    ('Kidney', 'Left')
    >>> _by_name("label_3").kind.meaning
    'Tissue'
    """
    words = frozenset(_SAME.get(word, word) for word in re.findall(r"[a-z0-9]+", _apart(name)))
    known = _by_words()
    if words in known:
        return Meaning(*known[words])
    sides = words & _SIDES.keys()
    if len(sides) == 1 and words - sides in known:
        return Meaning(*known[words - sides], _SIDES[next(iter(sides))])
    return Meaning(codes.SCT.Tissue, codes.SCT.Tissue)


def _apart(name: str) -> str:
    """Lower case, with spaces where capitals begin a word."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


@cache
def _by_words() -> dict[frozenset[str], tuple[Code, Code]]:
    found: dict[frozenset[str], tuple[Code, Code]] = {}
    for group, category in _GROUPS.items():
        listed = getattr(codes, group)
        for keyword in sorted(listed.dir()):
            code = getattr(listed, keyword)
            words = frozenset(re.findall(r"[a-z0-9]+", _apart(keyword)))
            if code.scheme_designator == "SCT" and keyword != "Background":
                found.setdefault(words, (category, code))
    return found
