"""What the checks of a whole dataset look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.volume import Unit


@dataclass(frozen=True)
class MeasuredDataset:
    """A dataset and the facts of its cases, without those that could not be read."""

    dataset: Dataset
    cases: Sequence[CaseFacts]
    unit: Unit = "mm"
