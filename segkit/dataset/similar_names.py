"""Find the name that is probably meant, without taking one patient for another."""

from __future__ import annotations

import re
from collections.abc import Iterable


class SimilarNames:
    """Names among which one is sought that differs in case, zeros, signs or an ending only.

    Names with other letters or numbers are of other patients.

    >>> names = SimilarNames(["Patient_07", "case_12_seg", "anna"])
    >>> names.find("patient-7"), names.find("case_12"), names.find("case_13"), names.find("anne")
    ('Patient_07', 'case_12_seg', '', '')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._whole: dict[str, str] = {}
        self._shortened: dict[str, str] = {}
        for name in names:
            whole, *shorter = _forms(name)
            self._whole.setdefault(whole, name)
            for form in shorter:
                self._shortened.setdefault(form, name)

    def find(self, name: str) -> str:
        """Return the similar name; "" if there is none."""
        whole, *shorter = _forms(name)
        same = self._whole.get(whole) or self._shortened.get(whole)
        return same or next((self._whole[form] for form in shorter if form in self._whole), "")


def _forms(name: str) -> list[str]:
    """Return a name in a form to compare, and then without each ending that has no number.

    >>> _forms("Case-007_SEG")
    ['case_7_seg', 'case_7']
    """
    parts = [
        re.sub("[0-9]+", lambda digits: str(int(digits[0])), part)
        for part in re.split(r"[\W_]+", name.casefold())
    ]
    forms = ["_".join(parts)]
    while len(parts) > 1 and not re.search("[0-9]", parts[-1]):
        parts.pop()
        forms.append("_".join(parts))
    return forms
