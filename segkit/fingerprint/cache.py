"""What was measured before is not measured again while every byte of the dataset's files is as it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.dataset.dataset import Dataset
from segkit.files.atomic import write_text
from segkit.files.locks import turn
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.channel_facts import ChannelFacts
from segkit.fingerprint.fingerprint import (
    SAMPLES,
    THREADS,
    Fingerprint,
    Intensity,
    measure,
    warn_of,
)
from segkit.fingerprint.label_facts import LabelFacts
from segkit.preprocessing.case_store import NOT_OF_DATASET, fields_but
from segkit.preprocessing.content_hash import content_hash
from segkit.preprocessing.store_folder import mark_store
from segkit.progress import CaseProgress

FORMAT = 2
"""To be raised by whoever changes what is measured in the same files."""


def known_or_measured(
    dataset: Dataset, store: Path, progress: CaseProgress | None = None
) -> Fingerprint:
    """The dataset's fingerprint, from ``store`` if it holds that of these files, else measured and kept there.

    Raises:
        InputError: a case that cannot be used, or a store that cannot be written.
    """
    contents = _contents(dataset, progress)
    place = store / f"fingerprint-{_key(dataset, contents)}.json"
    fingerprint = _read(place, dataset)
    if fingerprint is None:
        with turn(place):
            fingerprint = _read(place, dataset)  # another process may have measured it meanwhile
            if fingerprint is None:
                return _measured(dataset, contents, place, progress)
    for facts in fingerprint.cases:
        warn_of(facts)
    return fingerprint


def _measured(
    dataset: Dataset, contents: list[str], place: Path, progress: CaseProgress | None
) -> Fingerprint:
    """Measure, and keep what was measured."""
    fingerprint = measure(dataset, progress)
    if _contents(dataset) == contents:  # else a file has changed since its content was taken
        mark_store(place.parent)
        # Without the cases' ids, which may name patients.
        nameless = [dataclasses.replace(facts, id="") for facts in fingerprint.cases]
        write_text(
            place,
            json.dumps(dataclasses.asdict(dataclasses.replace(fingerprint, cases=tuple(nameless)))),
        )
    return fingerprint


def _contents(dataset: Dataset, progress: CaseProgress | None = None) -> list[str]:
    contents = []
    with ThreadPoolExecutor(THREADS) as pool:
        for case, content in zip(dataset.cases, pool.map(content_hash, dataset.cases), strict=True):
            contents.append(content)
            if progress:
                progress(len(contents), len(dataset.cases), case.id)
    return contents


def _key(dataset: Dataset, contents: Sequence[str]) -> str:
    decides = [FORMAT, __version__, SAMPLES, fields_but(dataset, NOT_OF_DATASET), contents]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


def _read(place: Path, dataset: Dataset) -> Fingerprint | None:
    """None where it is not there or damaged."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        cases = [
            _case(facts, case.id)
            for facts, case in zip(content["cases"], dataset.cases, strict=True)
        ]
        intensities = tuple(Intensity(**channel) for channel in content["intensities"])
        return Fingerprint(content["unit"], tuple(cases), intensities)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _case(facts: dict[str, Any], case_id: str) -> CaseFacts:
    points = ("centroid", "deviation", "thickness", "medians")
    labels = {
        name: LabelFacts(**{**label, **{point: tuple(label[point]) for point in points}})
        for name, label in facts["labels"].items()
    }
    tuples = {name: tuple(facts[name]) for name in ("shape", "spacing", "cropped", "constant")}
    channels = tuple(_channel(channel) for channel in facts["channels"])
    return CaseFacts(**{**facts, **tuples, "id": case_id, "labels": labels, "channels": channels})


def _channel(facts: dict[str, Any]) -> ChannelFacts:
    labelled = facts["labelled"]
    return ChannelFacts(**{**facts, "labelled": None if labelled is None else tuple(labelled)})
