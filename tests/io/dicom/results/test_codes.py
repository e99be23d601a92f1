from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")

from pydicom.sr.coding import Code

from segkit.io.dicom.results.codes import Meaning, meaning_of
from segkit.labels.codes import SegmentCodes, Term


def test_given_codes_come_first_and_a_region_goes_with_the_name() -> None:
    tumour, anatomy, liver = (
        Term("108369006", "SCT", "Neoplasm"),
        Term("49755003", "SCT", "x"),
        Term("1", "99A", "y"),
    )
    found = meaning_of("spleen", SegmentCodes(anatomy, tumour, region=liver))
    kind = Code("108369006", "SCT", "Neoplasm")
    assert found == Meaning(Code("49755003", "SCT", "x"), kind, None, Code("1", "99A", "y"))
    assert meaning_of("spleen", SegmentCodes(region=liver)).kind.meaning == "Spleen"
    assert meaning_of("spleen", SegmentCodes(colour=(1, 2, 3))) == meaning_of("spleen")


@pytest.mark.parametrize(
    ("name", "category", "kind", "side"),
    [
        ("liver", "Anatomical Structure", "10200004", None),
        ("Spleen", "Anatomical Structure", "78961009", None),
        ("kidney-right", "Anatomical Structure", "64033007", "Right"),
        ("LeftVentricle", "Anatomical Structure", "87878005", None),
        ("edema", "Morphologically Abnormal Structure", "79654002", None),
        ("urine", "Body Substance", "78014005", None),
        ("Anterior", "Tissue", "85756007", None),
        ("left", "Tissue", "85756007", None),
        ("Background", "Tissue", "85756007", None),
        ("my liver", "Tissue", "85756007", None),
    ],
)
def test_meaning(name: str, category: str, kind: str, side: str | None) -> None:
    found = meaning_of(name)
    assert (found.category.meaning, found.kind.value) == (category, kind)
    assert (found.modifier.meaning if found.modifier else None) == side
