"""Store the fingerprint of a dataset, and reuse it as long as no byte of its files changes."""

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
    log_case_warnings,
    measure,
)
from segkit.fingerprint.label_facts import LabelFacts
from segkit.preprocessing.case_store import NOT_OF_DATASET, fields_but
from segkit.preprocessing.content_hash import content_hash
from segkit.preprocessing.store_folder import mark_store
from segkit.progress import CaseProgress

FORMAT = 3
"""Format of the stored fingerprint; increase it when the measurements change."""


def load_or_measure(
    dataset: Dataset, store: Path, progress: CaseProgress | None = None
) -> Fingerprint:
    """Return the dataset's fingerprint from ``store``, or measure it and store it there.

    Args:
        dataset: the dataset, with the names of its channels and labels.
        store: folder of stored fingerprints, which is created if needed.
        progress: called after each case, while files are hashed and while cases are measured.

    Raises:
        InputError: a case cannot be used, or the store cannot be written.
    """
    hashes = _content_hashes(dataset, progress)
    path = store / f"fingerprint-{_key(dataset, hashes)}.json"
    fingerprint = _read(path, dataset)
    if fingerprint is None:
        with turn(path):
            # Another process may have measured it in the meantime.
            fingerprint = _read(path, dataset)
            if fingerprint is None:
                return _measure_and_store(dataset, hashes, path, progress)
    for facts in fingerprint.cases:
        log_case_warnings(facts)
    return fingerprint


def _measure_and_store(
    dataset: Dataset, hashes: list[str], path: Path, progress: CaseProgress | None
) -> Fingerprint:
    fingerprint = measure(dataset, progress)
    # If the hashes differ now, a file was changed during the measurement: store nothing.
    if _content_hashes(dataset) == hashes:
        mark_store(path.parent)
        # Case ids are not stored, because they may contain patient names.
        nameless = tuple(dataclasses.replace(facts, id="") for facts in fingerprint.cases)
        stored = dataclasses.replace(fingerprint, cases=nameless)
        write_text(path, json.dumps(dataclasses.asdict(stored)))
    return fingerprint


def _content_hashes(dataset: Dataset, progress: CaseProgress | None = None) -> list[str]:
    hashes: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for case, content in zip(dataset.cases, pool.map(content_hash, dataset.cases), strict=True):
            hashes.append(content)
            if progress:
                progress(len(hashes), len(dataset.cases), case.id)
    return hashes


def _key(dataset: Dataset, hashes: Sequence[str]) -> str:
    """Return 32 hex digits over everything that determines the fingerprint."""
    inputs = [FORMAT, __version__, SAMPLES, fields_but(dataset, NOT_OF_DATASET), hashes]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]


# -- reading ---------------------------------------------------------------------------------------


def _read(path: Path, dataset: Dataset) -> Fingerprint | None:
    """Return the stored fingerprint with the ids of the dataset, or None if absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cases = [
            _case_facts(facts, case.id)
            for facts, case in zip(content["cases"], dataset.cases, strict=True)
        ]
        intensities = tuple(Intensity(**channel) for channel in content["intensities"])
        return Fingerprint(content["unit"], tuple(cases), intensities)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _case_facts(content: dict[str, Any], case_id: str) -> CaseFacts:
    tuples = {name: tuple(content[name]) for name in ("shape", "spacing", "cropped", "constant")}
    labels = {name: _label_facts(label) for name, label in content["labels"].items()}
    channels = tuple(_channel_facts(channel) for channel in content["channels"])
    return CaseFacts(**{**content, **tuples, "id": case_id, "labels": labels, "channels": channels})


def _label_facts(content: dict[str, Any]) -> LabelFacts:
    names = ("centroid", "deviation", "thickness", "medians")
    return LabelFacts(**{**content, **{name: tuple(content[name]) for name in names}})


def _channel_facts(content: dict[str, Any]) -> ChannelFacts:
    labelled = content["labelled"]
    return ChannelFacts(**{**content, "labelled": None if labelled is None else tuple(labelled)})
