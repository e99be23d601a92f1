"""Scans and label maps of one name become cases; what has no partner is refused, what has no content is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkit.dataset.dataset import Case
from segkit.errors import InputError, first_few
from segkit.files.left_out import count_text, paths_text
from segkit.files.names import case_id, natural_key
from segkit.files.unfetched import how_to_fetch, why_unfetched

_CHANNEL = re.compile(r"(.+)_[0-9]{4}")


def paired(
    where: Path,
    images: Mapping[str, tuple[Path, ...]],
    labels: Mapping[str, Path],
    *,
    not_taken: Iterable[Path] = (),
) -> tuple[list[Case], list[str]]:
    """Return the cases of scans and label maps of equal ids, and notices of those that were left out.

    A case all of whose files are links that lead nowhere, or pointers without content, is left out.

    Args:
        where: the folder of the label maps, for messages.
        images: the files of each scan.
        labels: the label map of each scan.
        not_taken: files beside them that are not read, which may be the missing partner.

    Raises:
        InputError: a scan or a label map without partner, or a case of which some files have no content.
    """
    _check_partners(where, images, labels, not_taken=list(not_taken))
    cases = [Case(name, files, labels[name]) for name, files in images.items()]
    empty = {case.id: [path for path in _files(case) if why_unfetched(path)] for case in cases}
    in_part = [case for case in cases if 0 < len(empty[case.id]) < len(_files(case))]
    if in_part:
        raise _in_part(
            [path for case in in_part for path in empty[case.id]], [case.id for case in in_part]
        )
    return [case for case in cases if not empty[case.id]], _notices(
        [case for case in cases if empty[case.id]]
    )


def _files(case: Case) -> list[Path]:
    return [*case.images, *([case.label] if case.label else [])]


def _in_part(empty: Sequence[Path], cases: Sequence[str]) -> InputError:
    found = why_unfetched(empty[0])
    return InputError(
        empty[0],
        expected=f"all files of a case with their content, or none ({first_few(cases)})",
        found=f"{found}; {count_text(empty)} like that: {paths_text(empty)}"
        if len(empty) > 1
        else found,
        remedy=f"{how_to_fetch(found)} Or remove all files of these cases.",
    )


def _notices(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    found = why_unfetched(cases[0].images[0])
    count, their = ("1 case is", "its") if len(cases) == 1 else (f"{len(cases)} cases are", "their")
    names = first_few([case.id for case in cases])
    return [
        f"{count} left out, because {their} files have no content: {names}. The first is {found}. {how_to_fetch(found)}"
    ]


def _check_partners(
    where: Path,
    images: Mapping[str, object],
    labels: Mapping[str, object],
    *,
    not_taken: Sequence[Path],
) -> None:
    """Every image needs its label map, and no label map may be left over."""
    without_label = sorted(images.keys() - labels.keys(), key=natural_key)
    without_image = sorted(labels.keys() - images.keys(), key=natural_key)
    for lonely, rest, kind, partner in (
        (without_label, without_image, "scan", "label map"),
        (without_image, without_label, "label map", "scan"),
    ):
        if lonely:
            raise InputError(
                where,
                expected=f"a {partner} of the same name for each {kind}",
                found=f"none for {first_few(lonely)}{_instead(lonely, rest, partner, not_taken)}",
                remedy=_remedy(without_label, without_image, kind),
            )


def _instead(
    lonely: Sequence[str], rest: Sequence[str], partner: str, not_taken: Sequence[Path]
) -> str:
    """Return what may be meant as the partner, where there is something."""
    beside = [
        path for path in not_taken if {case_id(path), _without_channel(case_id(path))} & set(lonely)
    ]
    if beside:
        return f"; {count_text(beside)} there but not read: {paths_text(beside)}"
    return f", and none for the {partner} of {first_few(rest)}" if rest else ""


def _remedy(scans: Sequence[str], labels: Sequence[str], kind: str) -> str:
    if (
        scans
        and all(name != _without_channel(name) for name in scans)
        and {*map(_without_channel, scans)} <= {*labels}
    ):
        return "These scans have numbers of channels: call the folders imagesTr and labelsTr, as in nnU-Net's layout."
    owners = [
        scan
        for scan in scans[:100]
        if sum(label.startswith((f"{scan}_", f"{scan}-")) for label in labels) > 1
    ]
    if owners:
        return (
            f"{owners[0]} has several label maps: one mask per structure is not read. Join the masks of a case in one"
            " label map (data/README.md shows how)."
        )
    return f"Add it, rename one of the two, or move the {kind} elsewhere."


def _without_channel(name: str) -> str:
    match = _CHANNEL.fullmatch(name)
    return match[1] if match else name


def check_running_numbers(folder: Path, images: Iterable[Path], labels: Mapping[str, Path]) -> None:
    """Refuse scans whose last four digits count cases: nnU-Net's layout has the number of the channel there.

    Raises:
        InputError: label maps are called as the scans are, number included.
    """
    names = [case_id(path) for path in images]
    both = [name for name in names if name in labels and name != _without_channel(name)]
    if both:
        raise InputError(
            folder,
            expected="the number of a channel at the end of each scan's name, such as _0000",
            found=f"a running number: {both[0]} is a scan and a label map",
            remedy=f"Append the channel's number ({both[0]}_0000), or call the folders images and labels, where names"
            " are taken as they are.",
        )
