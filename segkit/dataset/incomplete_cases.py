"""Find the cases that lack a named file or a channel, so that the others can be checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segkit.dataset.dataset import Case, IncompleteCase
from segkit.dataset.paths import named_files
from segkit.errors import InputError
from segkit.files.names import natural_key
from segkit.files.unfetched import how_to_fetch, why_unfetched


def complete_cases(
    cases: Sequence[Case], channels: Sequence[str]
) -> tuple[list[Case], list[IncompleteCase]]:
    """Return the cases of which all files exist, with all channels, and the others.

    Args:
        cases: cases as a layout describes them.
        channels: names of the channels; may be empty.
    """
    usual = _usual_files(cases, channels)
    complete, lacking = [], []
    for case in cases:
        without = _without_files(case)
        if without is None and len(case.images) < usual:
            names = ", ".join(channels[len(case.images) :])
            lacks = f", without {names}" if names else ""
            text = f"{case.images[0]}: {len(case.images)} of {usual} channels{lacks}"
            without = IncompleteCase(case.id, text, _all_files(case))
        if without is None:
            complete.append(case)
        else:
            lacking.append(without)
    return complete, lacking


def in_natural_order(cases: Iterable[IncompleteCase]) -> list[IncompleteCase]:
    """Return the cases in the order of their ids."""
    return sorted(cases, key=lambda case: natural_key(case.id))


@contextmanager
def mentioned(incomplete: Sequence[IncompleteCase]) -> Iterator[None]:
    """Let an InputError of the block mention incomplete cases too, which it would hide."""
    try:
        yield
    except InputError as error:
        if not incomplete:
            raise
        first = incomplete[0].message.removesuffix(".")
        found = f"{error.found}; besides, incomplete cases: {len(incomplete)}. The first: {first}"
        raise InputError(
            error.where, expected=error.expected, found=found, remedy=error.remedy, kind=error.kind
        ) from None


def _usual_files(cases: Sequence[Case], channels: Sequence[str]) -> int:
    """Return the number of files of a scan: one for each channel with a name, or that of most."""
    counts = Counter(len(case.images) for case in cases)
    if len(channels) in counts:
        return len(channels)
    return max(counts, key=lambda count: (counts[count], count), default=0)


def _without_files(case: Case) -> IncompleteCase | None:
    """Return a case as incomplete if a file is missing or has no content, and else None."""
    files = named_files(case)
    reasons = {path: why_unfetched(path) for path in files}
    texts = [f"{path}: {reason}" for path, reason in reasons.items() if reason]
    texts += [_absent(path) for path in files if not reasons[path] and not path.is_file()]
    if not texts:
        return None
    remedies = " ".join({how_to_fetch(reason): None for reason in reasons.values() if reason})
    message = "; ".join(texts) + (f". {remedies.removesuffix('.')}" if remedies else "")
    return IncompleteCase(case.id, message, _all_files(case))


def _all_files(case: Case) -> tuple[Path, ...]:
    """Return the files of a case, and its folders of DICOM."""
    return (*case.images, *([case.label] if case.label else []))


def _absent(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder without DICOM"
    return f"{path} does not exist"
