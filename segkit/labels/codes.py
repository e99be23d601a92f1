"""What a label is, in the coded terms that DICOM wants, and its colour.

They stand in a dataset.json, and in a plan, in the words of dcmqi's JSON, whose terms are those of DICOM:

    "segmentAttributes": {"liver": {
        "SegmentedPropertyCategoryCodeSequence":
            {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"},
        "SegmentedPropertyTypeCodeSequence":
            {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"},
        "recommendedDisplayRGBValue": [221, 130, 101]}}

dcmqi's own list, in which a labelID stands for the name, is understood as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.labels.colors import Color, label_colors
from segkit.units import is_whole

_TERM = {"CodeValue": 64, "CodingSchemeDesignator": 16, "CodeMeaning": 64}
"""The parts of a code, and the longest of each: a code of more than 16 characters becomes a LongCodeValue."""
_KEYS = {
    "category": "SegmentedPropertyCategoryCodeSequence",
    "kind": "SegmentedPropertyTypeCodeSequence",
    "kind_modifier": "SegmentedPropertyTypeModifierCodeSequence",
    "region": "AnatomicRegionSequence",
    "region_modifier": "AnatomicRegionModifierSequence",
}
_NEEDS = (
    ("category", "kind"),
    ("kind", "category"),
    ("kind_modifier", "kind"),
    ("region_modifier", "region"),
)
"""What makes sense only beside something else."""
COLOR_KEY = "recommendedDisplayRGBValue"
_LEFT_ALONE = {
    *(
        "labelID",
        "SegmentLabel",
        "SegmentDescription",
        "SegmentAlgorithmType",
        "SegmentAlgorithmName",
    ),
    *("TrackingIdentifier", "TrackingUniqueIdentifier"),
}
"""What dcmqi's JSON says besides: segkit has words of its own for it."""
_MULTIPLY = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_PERMUTE = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)
"""Verhoeff's tables (dihedral group of order 10), by which the last digit of a SNOMED CT identifier is made."""


@dataclass(frozen=True)
class Term:
    """A coded term: the code, the dictionary that it is of, such as SCT, and what it says there."""

    value: str
    scheme: str
    meaning: str

    def to_json(self) -> dict[str, str]:
        """In the words of dcmqi's JSON."""
        return dict(zip(_TERM, (self.value, self.scheme, self.meaning), strict=True))


@dataclass(frozen=True)
class SegmentCodes:
    """What is known of a label; category and kind are there both or neither."""

    category: Term | None = None
    kind: Term | None = None
    kind_modifier: Term | None = None
    """Such as Left."""
    region: Term | None = None
    """Where in the body, for a kind such as a tumour that can be anywhere."""
    region_modifier: Term | None = None
    colour: tuple[int, int, int] | None = None
    """Red, green, blue, 0 to 255."""

    def to_json(self) -> dict[str, Any]:
        """In the words of dcmqi's JSON; what is not known is left out."""
        found = {key: getattr(self, name) for name, key in _KEYS.items()}
        terms: dict[str, Any] = {key: term.to_json() for key, term in found.items() if term}
        return terms | ({COLOR_KEY: list(self.colour)} if self.colour else {})


UNKNOWN = SegmentCodes()


def colors_of(names: Iterable[str], codes: Mapping[str, SegmentCodes] | None) -> dict[str, Color]:
    """Return a color for each of the labels of a model: the one that its codes give, else that of its place."""
    return label_colors(names, {name: known.colour for name, known in (codes or {}).items()})


def segments_of_json(
    where: str | Path, content: Any, labels: Mapping[str, int]
) -> dict[str, SegmentCodes]:
    """The codes of labels by name, out of an object with their names as keys, or of dcmqi's list (or list of lists).

    Raises:
        InputError: a name or labelID that is none of ``labels``, or one twice; an unknown key; no code; no colour.
    """
    found: dict[str, SegmentCodes] = {}
    for name, entry in _entries(where, content, labels):
        if name in found:
            raise _refused(
                where, "one entry for each label", f"two for {name!r}", "Remove one of them."
            )
        found[name] = _segment(where, name, entry)
    return found


def _entries(
    where: str | Path, content: Any, labels: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of labels, and what is said of them."""
    named = {str(value): name for name, value in labels.items()}
    if isinstance(content, dict):
        pairs, known = list(content.items()), {name: name for name in labels}
    elif isinstance(content, list):
        listed = list(
            chain.from_iterable(each if isinstance(each, list) else [each] for each in content)
        )
        pairs = [
            (str(each.get("labelID")) if isinstance(each, dict) else "", each) for each in listed
        ]
        known = named
    else:
        pairs, known = [("", content)], {}
    for key, entry in pairs:
        if not isinstance(entry, dict):
            example = f'"{next(iter(labels), "liver")}": {{...}}'
            raise _refused(
                where,
                f"an object for each label, such as {example}",
                _short(entry),
                "See data/README.md.",
            )
        if key not in known:
            raise _refused(
                where,
                f"labels of this dataset ({', '.join(known)})",
                repr(key),
                "Correct the name or labelID.",
            )
        yield known[key], entry


def _segment(where: str | Path, name: str, entry: Mapping[str, Any]) -> SegmentCodes:
    for key in entry:
        if key not in {*_KEYS.values(), COLOR_KEY, *_LEFT_ALONE}:
            near = get_close_matches(key, [*_KEYS.values(), COLOR_KEY], n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Leave it out."
            raise _refused(
                where,
                f"for {name!r} the keys {', '.join([*_KEYS.values(), COLOR_KEY])}",
                repr(key),
                remedy,
            )
    terms = {
        field: _term(where, name, key, entry[key]) for field, key in _KEYS.items() if key in entry
    }
    for field, needed in _NEEDS:
        if field in terms and needed not in terms:
            raise _refused(
                where, f"for {name!r} {_KEYS[needed]} beside {_KEYS[field]}", "none", "Add it."
            )
    return SegmentCodes(
        **terms, colour=_colour(where, name, entry[COLOR_KEY]) if COLOR_KEY in entry else None
    )


def _term(where: str | Path, name: str, key: str, content: Any) -> Term:
    """A code as an object, or as a list of one, which is what a sequence is."""
    item = content[0] if isinstance(content, list) and len(content) == 1 else content
    words = [item.get(part) for part in _TERM] if isinstance(item, dict) else [None]
    if not all(_is_text(word, most) for word, most in zip(words, _TERM.values(), strict=False)):
        example = (
            '{"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}'
        )
        limits = ", ".join(f"{part} up to {most}" for part, most in _TERM.items())
        raise _refused(
            where,
            f"a code such as {example} as {key} of {name!r}",
            _short(content),
            f"Characters: {limits}.",
        )
    term = Term(*words)
    if term.scheme == "SCT" and not is_snomed(term.value):
        raise _refused(
            where,
            f"an identifier of SNOMED CT as {key} of {name!r}",
            f"{term.value}, whose last digit does not fit the others",
            "Is a digit wrong? Codes such as T-62000 have the designator SRT.",
        )
    return term


def _is_text(word: Any, most: int) -> bool:
    """Whether it is one value of DICOM text, in which a backslash separates values."""
    if not isinstance(word, str) or not 0 < len(word.strip()) <= len(word) <= most:
        return False
    return word.isprintable() and "\\" not in word


def is_snomed(code: str) -> bool:
    """Whether a code is one that SNOMED CT can have: 6 to 18 digits, the last of them as the others say.

    >>> is_snomed("10200004"), is_snomed("10200014")
    (True, False)
    """
    if not (code.isascii() and code.isdecimal() and 6 <= len(code) <= 18):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_MULTIPLY[check][int(_PERMUTE[place % 8][int(digit)])])
    return check == 0


def _colour(where: str | Path, name: str, content: Any) -> tuple[int, int, int]:
    if not (
        isinstance(content, list)
        and len(content) == 3
        and all(is_whole(each, 0, 255) for each in content)
    ):
        expected = f"three whole numbers from 0 to 255 as {COLOR_KEY} of {name!r}"
        raise _refused(where, expected, _short(content), "Write for example [221, 130, 101].")
    red, green, blue = content
    return red, green, blue


def _short(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _refused(where: str | Path, expected: str, found: str, remedy: str) -> InputError:
    return InputError(where, expected=expected, found=found, remedy=remedy)
