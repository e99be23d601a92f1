"""Checks of the folders that segkit and its libraries read and write."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.doctor.facts import Facts
from segkit.doctor.problem import Problem
from segkit.machine.folders import Folder
from segkit.units import size_text

LITTLE_DISK = {"current": 1 << 30, "temporary": 128 << 20, "home": 16 << 20}
"""Bytes of free disk that may not be enough: for large results, slides, and caches."""
WRITTEN = {
    "current": (
        "current folder",
        "A prediction writes its result there unless it is given another place with -o OUT; a"
        " training writes its runs there unless it is given run_dir=PATH.",
    ),
    "temporary": (
        "temporary folder",
        "Slides and some DICOM images are unpacked there. Set TMPDIR to a folder that can be"
        " written; in a container, mount a tmpfs on /tmp.",
    ),
    "home": (
        "home folder",
        "Libraries keep their caches there. Set HOME to a folder that can be written, such as"
        " /tmp.",
    ),
    "runs": (
        "folder runs",
        "Trainings are written there. Change to a folder that can be written, or give train"
        " run_dir=PATH.",
    ),
}
"""Name of each folder that is written, and what to do if it cannot be."""


def folder_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a problem for each folder that cannot be used."""
    for role, (name, remedy) in WRITTEN.items():
        if role in facts.folders:
            yield from _write_problems(role, name, facts.folders[role], remedy)
    for role, folder in facts.folders.items():
        if role.startswith("models_") and not folder.readable:
            yield _no_models(role, folder)
    if "home" not in facts.folders:
        yield Problem(
            "note", "home_folder", "home folder", "the variable HOME", "none", WRITTEN["home"][1]
        )


def _no_models(role: str, folder: Folder) -> Problem:
    return Problem(
        "warning",
        "models_folder",
        f"folder {role.removeprefix('models_')} of $SEGKIT_MODELS",
        "a folder that can be read",
        "one that this user may not open" if folder.exists else "no such folder",
        "Correct $SEGKIT_MODELS or the permissions; in a container, mount the folder.",
    )


def _write_problems(role: str, name: str, folder: Folder, remedy: str) -> Iterator[Problem]:
    if not folder.writable:
        if role == "runs" and not folder.exists:
            return  # it is the current folder that cannot be written
        yield Problem(
            "note" if role == "home" else "warning",
            f"{role}_folder",
            name,
            "a folder that can be written",
            folder.problem,
            remedy,
        )
    elif folder.free is not None and folder.free < LITTLE_DISK.get(role, 0):
        yield Problem(
            "note" if role == "home" else "warning",
            f"{role}_folder",
            name,
            f"{size_text(LITTLE_DISK[role])} of free disk",
            size_text(folder.free),
            f"Free some space. {remedy}",
        )
