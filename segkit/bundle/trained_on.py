"""The scans that a model was trained on, as bundle.json records them: hashes of their voxels.

    "trained_on": {"0": {"scans": ["0a1b2c3d4e5f", ...], "complete": true}}

There is an entry for each fold. With `weights=` the scans of the earlier model are among them;
``complete`` is false if that model, of an older version, has no record. A hash names no patient,
but whoever has a scan can find out whether it is among them. An older bundle has no record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.dataset.dataset import Case
from segkit.errors import InputError

TRAINED_ON_KEY = "trained_on"
"""Key in bundle.json."""
DIGITS = 12
"""Hex digits of a hash that are kept."""


@dataclass(frozen=True)
class TrainedOn:
    """Scans that a network was trained on."""

    scans: frozenset[str]
    """First `DIGITS` digits of the hash of the voxels of each scan."""
    complete: bool = True
    """False if an earlier training of the network is not recorded."""

    def __or__(self, other: TrainedOn) -> TrainedOn:
        """Return the scans of two trainings of a network, one after the other."""
        return TrainedOn(self.scans | other.scans, self.complete and other.complete)

    def unseen(self, cases: Iterable[Case]) -> list[Case]:
        """Return the cases of patients of whom no scan is among these.

        >>> seen = TrainedOn(frozenset({"a" * 12}))
        >>> scans = [Case("1", (), None, "x", voxels_hash="a" * 32), Case("2", (), None, "x")]
        >>> [case.id for case in seen.unseen([*scans, Case("3", (), voxels_hash="b" * 32)])]
        ['3']
        """
        cases = list(cases)
        known = {_patient(case) for case in cases if case.voxels_hash[:DIGITS] in self.scans}
        return [case for case in cases if _patient(case) not in known]

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> TrainedOn:
        """Return what `to_json` has written."""
        return cls(frozenset(entry["scans"]), entry["complete"])

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a fold."""
        return {"scans": sorted(self.scans), "complete": self.complete}


UNKNOWN = TrainedOn(frozenset(), complete=False)
"""Record of a network of which nothing is recorded."""


def _patient(case: Case) -> str:
    return case.patient or case.id


def scans_of(cases: Iterable[Case]) -> TrainedOn:
    """Return the record of a training on cases; incomplete if a hash is not known."""
    hashes = [case.voxels_hash[:DIGITS] for case in cases]
    return TrainedOn(frozenset(filter(None, hashes)), all(hashes))


def scans_before(report: Mapping[str, Any]) -> TrainedOn | None:
    """Return the scans that the weights of a run had seen when it began; None if they were random.

    Args:
        report: the report on what the run started from. One that an older version has written does
            not name the scans: the run may be continued with this one.

    >>> scans_before({"mask": {}}), scans_before({"rewind": "0a1b", "step": 0})
    (None, None)
    >>> scans_before({"copied": 12}).complete
    False
    """
    if TRAINED_ON_KEY in report:
        return TrainedOn.from_json(report[TRAINED_ON_KEY])
    is_random = not report.keys() - {"mask"} or report.get("step") == 0
    return None if is_random else UNKNOWN


def trained_on(card: Mapping[str, Any], fold: str) -> TrainedOn | None:
    """Return the scans that the network of a fold was trained on; None if none are recorded.

    Args:
        card: content of bundle.json, checked by `check_trained_on`.
        fold: name of the fold.
    """
    entry = card.get(TRAINED_ON_KEY, {}).get(fold)
    return None if entry is None else TrainedOn.from_json(entry)


def joint_trained_on(cards: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of bundle.json of one model with the networks of several."""
    folds = [entry for card in cards for entry in card.get(TRAINED_ON_KEY, {}).items()]
    return {TRAINED_ON_KEY: dict(folds)} if folds else {}


def check_trained_on(card: Mapping[str, Any], where: Path) -> None:
    """Check the record in the content of bundle.json, if there is one.

    Raises:
        InputError: something other than lists of hashes.
    """
    entries = card.get(TRAINED_ON_KEY, {})
    if not isinstance(entries, dict) or not all(map(_is_valid, entries.values())):
        raise InputError(
            where,
            expected=f"{TRAINED_ON_KEY} with hashes of scans, and whether they are complete",
            found=str(entries)[:200],
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def _is_valid(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("complete"), bool)
        and isinstance(entry.get("scans"), list)
        and all(isinstance(scan, str) for scan in entry["scans"])
    )
