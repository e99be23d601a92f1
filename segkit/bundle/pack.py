"""A bundle as one .segkit file, and changes of bundle.json that keep weights and plan."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segkit.bundle.archive import read_member
from segkit.bundle.bundle import (
    CARD_PAGE,
    Bundle,
    json_bytes,
    page_of,
    read_bundle,
    receipts,
    write_files,
)
from segkit.bundle.card import CONFIG
from segkit.bundle.notes import NOTES, read_notes
from segkit.bundle.private_paths import without_folders
from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.files.names import CARD


def with_entries(bundle: Bundle, entries: Mapping[str, Any]) -> Bundle:
    """Return the bundle with entries added to, or replaced in, the content of bundle.json."""
    return Bundle(bundle.path, bundle.plan, {**bundle.card, **entries})


def update_card(bundle: Bundle, entries: Mapping[str, Any]) -> Bundle:
    """Add or replace entries of bundle.json, write card.md anew, and return the bundle.

    The hash of the model stays the same. A reader finds the old or the new bundle, also after a
    crash.

    Args:
        bundle: a bundle folder or .segkit file.
        entries: the entries, in JSON types; not those that affect a prediction.

    Raises:
        InputError: the bundle has become another model since it was read, or cannot be written.
    """
    now = read_bundle(bundle.path)
    if now.hash != bundle.hash:
        raise InputError(
            bundle.path,
            expected=f"the model that was measured, {bundle.hash}",
            found=f"another one, {now.hash}, which was written in the meantime",
            remedy="Start again.",
        )
    if bundle.path.is_file():
        # A file that a link leads to is replaced, and not the link.
        pack_bundle(bundle.path, bundle.path.resolve(), entries)
        return read_bundle(bundle.path)
    new = with_entries(now, entries)
    page = page_of(new, new.config, read_notes(new.path))
    files = {**new.card["files"], **receipts({CARD_PAGE: page})}
    card = json_bytes({**new.card, "files": files})
    write_files(bundle.path, {CARD: card, CARD_PAGE: page})
    return read_bundle(bundle.path)


def pack_bundle(
    folder: str | Path, file: str | Path, entries: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """Zip a bundle folder into one .segkit file, and return its path.

    Nothing is compressed, because weights hardly compress. Paths in config.json are reduced to
    their last part, so that folder names are not shared.

    Args:
        folder: the bundle, a folder or a .segkit file.
        file: the file to write; it may be the bundle itself.
        entries: entries of bundle.json that are added or replaced.

    Raises:
        InputError: not a bundle, or a damaged file.
    """
    bundle = with_entries(read_bundle(folder), entries)
    config = None if bundle.config is None else without_folders(bundle.config)
    notes = read_notes(bundle.path)
    changed = {CARD_PAGE: page_of(bundle, config, notes)}
    if config is not None:
        changed[CONFIG] = json_bytes(config)
    if notes:
        changed[NOTES] = notes.encode()
    # The notes of a model that was unpacked may have been removed since.
    kept = {name: receipt for name, receipt in bundle.card["files"].items() if name != NOTES}
    files = {**kept, **receipts(changed)}
    with (
        atomic_path(file) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        archive.writestr(CARD, json_bytes({**bundle.card, "files": files}))
        for name, receipt in files.items():
            archive.writestr(
                name, changed[name] if name in changed else read_member(bundle.path, name, receipt)
            )
    return Path(file)
