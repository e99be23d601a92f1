"""Coded terms of labels, as a dataset.json has them."""

from __future__ import annotations

from typing import Any

import pytest

from segkit.errors import InputError
from segkit.labels.codes import SegmentCodes, Term, segments_of_json

LABELS = {"liver": 1, "tumour": 2}
ANATOMY = {
    "CodeValue": "123037004",
    "CodingSchemeDesignator": "SCT",
    "CodeMeaning": "Anatomical Structure",
}
LIVER = {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
RIGHT = {"CodeValue": "24028007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Right"}
CODED = {
    "SegmentedPropertyCategoryCodeSequence": ANATOMY,
    "SegmentedPropertyTypeCodeSequence": LIVER,
}
FULL = {
    **CODED,
    "SegmentedPropertyTypeModifierCodeSequence": RIGHT,
    "AnatomicRegionSequence": LIVER,
    "AnatomicRegionModifierSequence": RIGHT,
    "recommendedDisplayRGBValue": [221, 130, 101],
}


def read(content: Any) -> dict[str, SegmentCodes]:
    return segments_of_json("dataset.json", content, LABELS)


def test_all_codes_of_a_label() -> None:
    found = read({"liver": FULL})["liver"]
    liver, right = Term("10200004", "SCT", "Liver"), Term("24028007", "SCT", "Right")
    assert (found.kind, found.kind_modifier, found.region, found.region_modifier) == (
        liver,
        right,
        liver,
        right,
    )
    assert found.colour == (221, 130, 101)
    assert found.to_json() == FULL


def test_a_color_alone_and_nothing_at_all() -> None:
    assert read({"liver": {"recommendedDisplayRGBValue": [0, 0, 0]}}) == {
        "liver": SegmentCodes(colour=(0, 0, 0))
    }
    assert read({"liver": {"recommendedDisplayRGBValue": [0, 0, 0]}})["liver"].to_json() == {
        "recommendedDisplayRGBValue": [0, 0, 0]
    }
    assert read({}) == {}


@pytest.mark.parametrize("nested", [True, False])
def test_the_list_of_dcmqi(nested: bool) -> None:
    entry = {"labelID": 2, "SegmentDescription": "x", "SegmentAlgorithmType": "MANUAL", **CODED}
    assert read([[entry]] if nested else [entry]) == {"tumour": read({"liver": CODED})["liver"]}


def test_a_sequence_may_be_a_list_of_one() -> None:
    listed = {key: [value] for key, value in CODED.items()}
    assert read({"liver": listed}) == read({"liver": CODED})


def test_codes_of_other_schemes_are_not_checked() -> None:
    old = {"CodeValue": "T-62000", "CodingSchemeDesignator": "SRT", "CodeMeaning": "Liver"}
    assert read({"liver": CODED | {"SegmentedPropertyTypeCodeSequence": old}})[
        "liver"
    ].kind == Term(*old.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"lung": CODED},
            r"labels of this dataset \(liver, tumour\), found 'lung'\. Correct the name",
        ),
        ([{"labelID": 3, **CODED}], r"labels of this dataset \(1, 2\), found '3'"),
        ([CODED], "found 'None'"),
        ([{"labelID": 1}, {"labelID": 1}], "one entry for each label, found two for 'liver'"),
        (
            {"liver": "Liver"},
            r'an object for each label, such as "liver": \{\.\.\.\}, found \'Liver\'',
        ),
        ("liver", "an object for each label"),
        ([3], "an object for each label, .* found 3"),
        (
            {"liver": {"SegmentedPropertyTypeCode": LIVER}},
            "Did you mean SegmentedPropertyTypeCodeSequence?",
        ),
        ({"liver": {"hue": 1}}, r"found 'hue'\. Leave it out"),
        (
            {"liver": {"SegmentedPropertyTypeCodeSequence": LIVER}},
            (
                "for 'liver' SegmentedPropertyCategoryCodeSequence with"
                " SegmentedPropertyTypeCodeSequence, found none"
            ),
        ),
        (
            {"liver": {"SegmentedPropertyCategoryCodeSequence": ANATOMY}},
            "SegmentedPropertyTypeCodeSequence with",
        ),
        (
            {"liver": {"SegmentedPropertyTypeModifierCodeSequence": RIGHT}},
            "TypeCodeSequence with Segmented",
        ),
        (
            {"liver": {"AnatomicRegionModifierSequence": RIGHT}},
            "AnatomicRegionSequence with AnatomicRegionModifier",
        ),
        (
            {"liver": {"recommendedDisplayRGBValue": [1, 2]}},
            r"whole numbers from 0 to 255 .* found \[1, 2\]",
        ),
        ({"liver": {"recommendedDisplayRGBValue": [1, 2, 256]}}, r"found \[1, 2, 256\]"),
        ({"liver": {"recommendedDisplayRGBValue": [1, 2, True]}}, r"found \[1, 2, True\]"),
        ({"liver": {"recommendedDisplayRGBValue": "red"}}, "found 'red'"),
    ],
)
def test_what_is_refused(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"dataset.json: expected .*{message}"):
        read(content)


@pytest.mark.parametrize(
    "change",
    [
        {"CodeValue": 10200004},
        {"CodeValue": ""},
        {"CodeValue": "1" * 65},
        {"CodingSchemeDesignator": "S" * 17},
        {"CodeMeaning": " "},
        {"CodeMeaning": "Liver\\Spleen"},
        {"CodeMeaning": "Liver\n"},
        {"CodeMeaning": "x" * 65},
        {"CodeMeaning": None},
    ],
)
def test_what_is_no_code(change: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=r"a code such as .* as AnatomicRegionSequence of 'liver', .*Characters:"
    ):
        read({"liver": {"AnatomicRegionSequence": LIVER | change}})


@pytest.mark.parametrize("content", ["Liver", [], [LIVER, LIVER], {"CodeValue": "10200004"}])
def test_what_is_no_code_at_all(content: Any) -> None:
    with pytest.raises(InputError, match="a code such as"):
        read({"liver": {"AnatomicRegionSequence": content}})


@pytest.mark.parametrize("value", ["10200005", "1020004", "12345", "1" * 19, "T-62000", "1020000४"])
def test_a_digit_that_is_wrong(value: str) -> None:
    message = (
        r"an identifier of SNOMED CT as AnatomicRegionSequence of 'liver', "
        rf"found {value}, whose last digit"
    )
    with pytest.raises(InputError, match=message):
        read({"liver": {"AnatomicRegionSequence": LIVER | {"CodeValue": value}}})


def test_every_code_that_pydicom_knows_is_one() -> None:
    mapping = pytest.importorskip(
        "pydicom.sr._snomed_dict", reason="the extra [dicom] is not installed"
    ).mapping
    for value in mapping["SCT"]:
        read({"liver": {"AnatomicRegionSequence": LIVER | {"CodeValue": value}}})
