"""Folder of a report: files of another command or of other inputs there are not overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.errors import InputError, UsageError, first_few
from segkit.files.json_file import read_json

WORKING_FOLDER = "working_folder"
"""Key of the folder from which a record's relative paths count."""
SHOWN = 3
"""Number of files that the message names."""


def check_report_folder(
    folder: Path,
    names: Sequence[str],
    *,
    record: str,
    inputs: Mapping[str, str | Path],
    if_recorded: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Check that a report may be written: its files do not exist, or are of the same call.

    A call that was made before, with the same inputs, renews its report, whatever its other
    settings were.

    Args:
        folder: folder of the report, which need not exist.
        names: names of the files to write.
        record: name of the JSON file among them that records the inputs.
        inputs: key in that file and path of each input.
        if_recorded: name of a file that only some calls write -> key that the record has then.
        overwrite: whether other files may be replaced.

    Raises:
        UsageError: the folder is a file, or holds files of these names that are not of this call.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder} is a file. Give a folder for the report")
    found = [name for name in names if (folder / name).exists()]
    keys = [key for name, key in (if_recorded or {}).items() if name in found]
    if overwrite or not found or _is_of(folder / record, inputs, keys):
        return
    raise UsageError(
        f"{folder} holds {first_few(found, SHOWN)} of another command or of other inputs. Choose"
        " another folder with -o, or replace them with --overwrite"
    )


def _is_of(record: Path, inputs: Mapping[str, str | Path], keys: Sequence[str]) -> bool:
    """Return whether a JSON file names these inputs, and has these keys."""
    try:
        content = read_json(record)
    except InputError:  # there is none, or it is of something else
        return False
    start = Path(str(content.get(WORKING_FOLDER, "")))
    return all(key in content for key in keys) and all(
        isinstance(content.get(key), str)
        and (start / content[key]).resolve() == Path(path).resolve()
        for key, path in inputs.items()
    )
