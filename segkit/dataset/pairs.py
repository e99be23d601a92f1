"""Pair scans with label maps by name; a file without its partner is an error, or is collected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkit.dataset.channel_files import without_channel
from segkit.dataset.dataset import Case, IncompleteCase
from segkit.dataset.similar_names import SimilarNames
from segkit.errors import InputError, first_few
from segkit.files.left_out import count_text, paths_text
from segkit.files.names import case_id, natural_key
from segkit.files.unfetched import how_to_fetch, why_unfetched


def pair_by_name(
    label_folder: Path,
    images: Mapping[str, tuple[Path, ...]],
    labels: Mapping[str, Path],
    *,
    not_read: Iterable[Path] = (),
    incomplete: list[IncompleteCase] | None = None,
) -> tuple[list[Case], list[str]]:
    """Return the cases whose scan and label map have the same id, and a notice of those left out.

    A case is left out if all its files are broken links or pointers to content that was not
    fetched.

    Args:
        label_folder: the folder of the label maps, for messages.
        images: case id -> the files of the scan.
        labels: case id -> the label map.
        not_read: other files there that are not read but may be a missing partner.
        incomplete: list to which scans and label maps without a partner are appended.

    Raises:
        InputError: a scan or a label map has no partner, or only some files of a case have
            content. With a list ``incomplete``: no scan has a label map; cases of which some files
            have no content are returned like others.
    """
    if incomplete is None or not images.keys() & labels.keys():
        _check_partners(label_folder, images, labels, not_read=list(not_read))
    else:
        incomplete += _lone_files(images, labels, list(not_read))
    cases = [Case(name, files, labels[name]) for name, files in images.items() if name in labels]
    empty = {case.id: [path for path in _files(case) if why_unfetched(path)] for case in cases}
    partial = [case.id for case in cases if 0 < len(empty[case.id]) < len(_files(case))]
    if partial and incomplete is None:
        raise _partial_cases([path for name in partial for path in empty[name]], partial)
    absent = [case for case in cases if len(empty[case.id]) == len(_files(case))]
    kept = [case for case in cases if len(empty[case.id]) < len(_files(case))]
    return kept, _notices(absent)


def check_running_numbers(folder: Path, images: Iterable[Path], labels: Mapping[str, Path]) -> None:
    """Check that the four digits at the end of scan names number channels, not cases.

    Raises:
        InputError: a label map has the same name as a scan, including the digits.
    """
    names = [case_id(path) for path in images]
    same_name = [name for name in names if name in labels and name != without_channel(name)]
    if same_name:
        raise InputError(
            folder,
            expected="the number of a channel at the end of each scan's name, such as _0000",
            found=f"a running number: {same_name[0]} is a scan and a label map",
            remedy=f"Append the channel's number ({same_name[0]}_0000), or name the folders images"
            " and labels, where digits have no meaning.",
        )


def _files(case: Case) -> list[Path]:
    return [*case.images, *([case.label] if case.label else [])]


def _lone_files(
    images: Mapping[str, tuple[Path, ...]], labels: Mapping[str, Path], not_read: Sequence[Path]
) -> list[IncompleteCase]:
    """Return the scans without a label map and the label maps without a scan.

    The message names what may be the partner: a file of that name that is not read, or one that
    lacks its partner too and whose name differs in case, zeros, signs or an ending only.
    """
    scans = {name: files for name, files in images.items() if name not in labels}
    maps = {name: (path,) for name, path in labels.items() if name not in images}
    unread: dict[str, list[Path]] = defaultdict(list)
    for path in not_read:
        for name in {case_id(path), without_channel(case_id(path))}:
            unread[name].append(path)
    found = []
    for lone, others, partner in ((scans, maps, "label map"), (maps, scans, "scan")):
        similar = SimilarNames(others)
        for name, files in lone.items():
            broken = next((reason for path in files if (reason := why_unfetched(path))), "")
            text = (
                f"{files[0]}{f' ({broken})' if broken else ''}: there is no {partner} of this name"
            )
            other = similar.find(name)
            if unread[name]:
                text += _there_but_not_read(unread[name])
            elif other:
                text += f"; {others[other][0].name} lacks its partner too"
            found.append(IncompleteCase(name, text, files))
    return found


def _partial_cases(empty: Sequence[Path], cases: Sequence[str]) -> InputError:
    reason = why_unfetched(empty[0])
    more = f"; {count_text(empty)} like that: {paths_text(empty)}" if len(empty) > 1 else ""
    return InputError(
        empty[0],
        expected=f"all files of a case with their content, or none ({first_few(cases)})",
        found=f"{reason}{more}",
        remedy=f"{how_to_fetch(reason)} Or remove all files of these cases.",
    )


def _notices(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    reason = why_unfetched(cases[0].images[0])
    count, their = ("1 case is", "its") if len(cases) == 1 else (f"{len(cases)} cases are", "their")
    names = first_few([case.id for case in cases])
    return [
        f"{count} left out, because {their} files have no content: {names}. The first is {reason}."
        f" {how_to_fetch(reason)}"
    ]


def _check_partners(
    label_folder: Path,
    images: Mapping[str, object],
    labels: Mapping[str, object],
    *,
    not_read: Sequence[Path],
) -> None:
    """Check that every scan has a label map and every label map a scan."""
    lone_scans = sorted(images.keys() - labels.keys(), key=natural_key)
    lone_labels = sorted(labels.keys() - images.keys(), key=natural_key)
    for lone, others, kind, partner in (
        (lone_scans, lone_labels, "scan", "label map"),
        (lone_labels, lone_scans, "label map", "scan"),
    ):
        if lone:
            possible = _possible_partner(lone, others, partner, not_read)
            raise InputError(
                label_folder,
                expected=f"a {partner} of the same name for each {kind}",
                found=f"none for {first_few(lone)}{possible}",
                remedy=_remedy(lone_scans, lone_labels, kind),
            )


def _possible_partner(
    lone: Sequence[str], others: Sequence[str], partner: str, not_read: Sequence[Path]
) -> str:
    """Return a clause about files that may be the missing partner, or ""."""
    candidates = [
        path for path in not_read if {case_id(path), without_channel(case_id(path))} & set(lone)
    ]
    if candidates:
        return _there_but_not_read(candidates)
    return f", and none for the {partner} of {first_few(others)}" if others else ""


def _there_but_not_read(paths: Sequence[Path]) -> str:
    return f"; {count_text(paths)} there but not read: {paths_text(paths)}"


def _remedy(scans: Sequence[str], labels: Sequence[str], kind: str) -> str:
    """Return the remedy for ``scans`` without a label map and ``labels`` without a scan."""
    numbered = bool(scans) and all(name != without_channel(name) for name in scans)
    if numbered and {without_channel(name) for name in scans} <= set(labels):
        return (
            "The names of these scans end in channel numbers: name the folders imagesTr and"
            " labelsTr, as in nnU-Net's layout."
        )
    for scan in scans[:100]:
        if sum(label.startswith((f"{scan}_", f"{scan}-")) for label in labels) > 1:
            return (
                f"{scan} has several label maps; segkit reads one label map per case, not one mask"
                " per structure. Merge the masks of a case into one label map (data/README.md shows"
                " how)."
            )
    return f"Add it, rename one of the two, or move the {kind} elsewhere."
