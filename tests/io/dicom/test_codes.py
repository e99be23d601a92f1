from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")

from segkit.io.dicom.codes import meaning_of


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
    assert (found.side.meaning if found.side else None) == side
