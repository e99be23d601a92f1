"""Coded terms of segments, which a DICOM-SEG must have.

The codes of the dataset take precedence, then SNOMED CT codes that fit the name of the label, then
"Tissue". A name gets a code from DICOM's context groups for segmented properties only if it has the
same words: ``left_kidney`` becomes Kidney (Left), and ``label_3`` gets no code but Tissue.
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

_CONTEXT_GROUPS = {
    "cid7192": codes.SCT.AnatomicalStructure,
    "cid7191": codes.SCT.Tissue,
    "cid7194": codes.SCT.MorphologicallyAbnormalStructure,
    "cid7197": codes.SCT.BodySubstance,
}
"""Context groups of PS3.16, each with the category of its codes; earlier groups take precedence."""
_SYNONYMS = {
    "tumor": "neoplasm",
    "tumour": "neoplasm",
    "oesophagus": "esophagus",
    "oedema": "edema",
}
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True)
class Meaning:
    """Coded meaning of a segment: category, type and anatomic region, with modifiers."""

    category: Code
    kind: Code
    """Segmented property type."""
    modifier: Code | None = None
    """Modifier of the type, such as the side."""
    region: Code | None = None
    """Anatomic region."""
    region_modifier: Code | None = None
    """Modifier of the region, such as the side."""


def meaning_of(name: str, given: SegmentCodes = UNKNOWN) -> Meaning:
    """Return the codes of a label.

    Args:
        name: name of the label, used unless ``given`` has a category and a type.
        given: codes of the label in the dataset.
    """
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
    """Return the codes that fit the name of a label.

    >>> _by_name("left_kidney").kind.meaning, _by_name("left_kidney").modifier.meaning
    ('Kidney', 'Left')
    >>> _by_name("label_3").kind.meaning
    'Tissue'
    """
    words = frozenset(_SYNONYMS.get(word, word) for word in _words(name))
    known = _codes_by_words()
    if words in known:
        return Meaning(*known[words])
    sides = words & _SIDES.keys()
    if len(sides) == 1 and words - sides in known:
        return Meaning(*known[words - sides], _SIDES[next(iter(sides))])
    return Meaning(codes.SCT.Tissue, codes.SCT.Tissue)


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case; a capital after a lower-case letter begins one."""
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[a-z0-9]+", separated)


@cache
def _codes_by_words() -> dict[frozenset[str], tuple[Code, Code]]:
    """Return the category and type of each code, by the words of its name."""
    by_words: dict[frozenset[str], tuple[Code, Code]] = {}
    for group, category in _CONTEXT_GROUPS.items():
        listed = getattr(codes, group)
        for keyword in sorted(listed.dir()):
            code = getattr(listed, keyword)
            if code.scheme_designator == "SCT" and keyword != "Background":
                by_words.setdefault(frozenset(_words(keyword)), (category, code))
    return by_words
