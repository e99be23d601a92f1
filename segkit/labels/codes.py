"""Coded terms of labels, as DICOM requires them, and their colors.

A dataset.json and a plan store them under the keys of dcmqi's JSON, which are DICOM keywords:

    "segmentAttributes": {"liver": {
        "SegmentedPropertyCategoryCodeSequence": {
            "CodeValue": "123037004",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Anatomical Structure"},
        "SegmentedPropertyTypeCodeSequence": {
            "CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"},
        "recommendedDisplayRGBValue": [221, 130, 101]}}

dcmqi's own list, which has a labelID instead of the name, can also be read.
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
"""Parts of a code, and the largest number of characters of each.

A code of more than 16 characters becomes a LongCodeValue in DICOM.
"""
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
"""Pairs of terms of which the first requires the second."""
COLOR_KEY = "recommendedDisplayRGBValue"
_IGNORED_KEYS = {
    *("labelID", "SegmentLabel", "SegmentDescription"),
    *("SegmentAlgorithmType", "SegmentAlgorithmName"),
    *("TrackingIdentifier", "TrackingUniqueIdentifier"),
}
"""Keys of dcmqi's JSON that are ignored, because segkit writes its own content for them."""
_MULTIPLY = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_PERMUTE = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)
"""Tables of Verhoeff's check digit (dihedral group of order 10) of SNOMED CT identifiers."""


@dataclass(frozen=True)
class Term:
    """Coded term."""

    value: str
    """Code."""
    scheme: str
    """Designator of the coding scheme, such as SCT for SNOMED CT."""
    meaning: str
    """Meaning of the code in words."""

    def to_json(self) -> dict[str, str]:
        """Return the term with the keys of dcmqi's JSON."""
        return dict(zip(_TERM, (self.value, self.scheme, self.meaning), strict=True))


@dataclass(frozen=True)
class SegmentCodes:
    """Coded terms and color of a label; category and kind are either both given or both None.

    The names of the fields are part of a hash (`Dataset.content_hash`) and must not change.
    """

    category: Term | None = None
    """Segmented property category, such as Anatomical Structure."""
    kind: Term | None = None
    """Segmented property type, such as Kidney."""
    kind_modifier: Term | None = None
    """Modifier of the type, such as Left."""
    region: Term | None = None
    """Anatomic region, for a type such as a tumor that can be anywhere in the body."""
    region_modifier: Term | None = None
    """Modifier of the region, such as Left."""
    colour: tuple[int, int, int] | None = None
    """Red, green and blue, from 0 to 255."""

    def to_json(self) -> dict[str, Any]:
        """Return the terms and the color that are known, with the keys of dcmqi's JSON."""
        terms = {key: getattr(self, name) for name, key in _KEYS.items()}
        content: dict[str, Any] = {key: term.to_json() for key, term in terms.items() if term}
        if self.colour:
            content[COLOR_KEY] = list(self.colour)
        return content


UNKNOWN = SegmentCodes()
"""Codes of a label without any codes or color."""


def colors_of(names: Iterable[str], codes: Mapping[str, SegmentCodes] | None) -> dict[str, Color]:
    """Return a color for each label of a model: from its codes if given, else by its index."""
    return label_colors(names, {name: segment.colour for name, segment in (codes or {}).items()})


def segments_of_json(
    where: str | Path, content: Any, labels: Mapping[str, int]
) -> dict[str, SegmentCodes]:
    """Return the codes of labels, by name.

    Args:
        where: the file, for error messages.
        content: an object with the names of labels as keys, or dcmqi's list (or list of lists).
        labels: name and value of the labels of the dataset.

    Raises:
        InputError: a name or labelID is unknown or given twice, a key is unknown, or a code or
            color is malformed.
    """
    segments: dict[str, SegmentCodes] = {}
    for name, entry in _entries(where, content, labels):
        if name in segments:
            raise _refused(
                where, "one entry for each label", f"two for {name!r}", "Remove one of them."
            )
        segments[name] = _segment(where, name, entry)
    return segments


def _entries(
    where: str | Path, content: Any, labels: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each label with the JSON object of its codes."""
    if isinstance(content, dict):
        pairs, names = list(content.items()), {name: name for name in labels}
    elif isinstance(content, list):
        items = [item if isinstance(item, list) else [item] for item in content]
        entries = list(chain.from_iterable(items))
        keys = [str(entry.get("labelID")) if isinstance(entry, dict) else "" for entry in entries]
        pairs = list(zip(keys, entries, strict=True))
        names = {str(value): name for name, value in labels.items()}
    else:
        pairs, names = [("", content)], {}
    for key, entry in pairs:
        if not isinstance(entry, dict):
            example = f'"{next(iter(labels), "liver")}": {{...}}'
            raise _refused(
                where,
                f"an object for each label, such as {example}",
                _short(entry),
                "See data/README.md.",
            )
        if key not in names:
            raise _refused(
                where,
                f"labels of this dataset ({', '.join(names)})",
                repr(key),
                "Correct the name or labelID.",
            )
        yield names[key], entry


def _segment(where: str | Path, name: str, entry: Mapping[str, Any]) -> SegmentCodes:
    for key in entry:
        if key not in {*_KEYS.values(), COLOR_KEY, *_IGNORED_KEYS}:
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
                where, f"for {name!r} {_KEYS[needed]} with {_KEYS[field]}", "none", "Add it."
            )
    color = _color(where, name, entry[COLOR_KEY]) if COLOR_KEY in entry else None
    return SegmentCodes(**terms, colour=color)


def _term(where: str | Path, name: str, key: str, content: Any) -> Term:
    """Parse a code, which is an object or a list of one object, as in a DICOM sequence."""
    item = content[0] if isinstance(content, list) and len(content) == 1 else content
    parts = [item.get(part) for part in _TERM] if isinstance(item, dict) else [None]
    if not all(_is_text(part, most) for part, most in zip(parts, _TERM.values(), strict=False)):
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
    term = Term(*parts)
    if term.scheme == "SCT" and not is_snomed(term.value):
        raise _refused(
            where,
            f"an identifier of SNOMED CT as {key} of {name!r}",
            f"{term.value}, whose last digit does not fit the others",
            "Check the digits. Codes such as T-62000 have the designator SRT.",
        )
    return term


def _is_text(word: Any, most: int) -> bool:
    """Return whether ``word`` is a single DICOM text value; a backslash would separate two."""
    if not isinstance(word, str) or not 0 < len(word.strip()) <= len(word) <= most:
        return False
    return word.isprintable() and "\\" not in word


def is_snomed(code: str) -> bool:
    """Return whether a code is a possible SNOMED CT identifier: 6 to 18 digits with a check digit.

    >>> is_snomed("10200004"), is_snomed("10200014")
    (True, False)
    """
    if not (code.isascii() and code.isdecimal() and 6 <= len(code) <= 18):
        return False
    check = 0
    for position, digit in enumerate(reversed(code)):
        check = int(_MULTIPLY[check][int(_PERMUTE[position % 8][int(digit)])])
    return check == 0


def _color(where: str | Path, name: str, content: Any) -> tuple[int, int, int]:
    three = isinstance(content, list) and len(content) == 3
    if not three or not all(is_whole(part, 0, 255) for part in content):
        expected = f"three whole numbers from 0 to 255 as {COLOR_KEY} of {name!r}"
        raise _refused(where, expected, _short(content), "Write for example [221, 130, 101].")
    red, green, blue = content
    return red, green, blue


def _short(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _refused(where: str | Path, expected: str, found: str, remedy: str) -> InputError:
    return InputError(where, expected=expected, found=found, remedy=remedy)
