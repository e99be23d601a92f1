"""Find a mask: in a file, a run folder, or a model that was trained with one."""

from __future__ import annotations

from pathlib import Path

from segkit.bundle.archive import read_member
from segkit.bundle.card import open_card
from segkit.bundle.lookup import LATEST, SUFFIX, is_model, resolve_model
from segkit.errors import InputError
from segkit.networks.mask_file import MASK, MaskFile, mask_from, read_mask


def find_mask(where: str | Path) -> MaskFile:
    """Return the mask at ``where``.

    Args:
        where: a mask file, a run folder (or runs/latest) or a model (bundle folder, .segkit file or
            name) whose training had a mask.

    Raises:
        InputError: no such file or model, a file of another kind, or a model without a mask.
    """
    path = Path(where)
    if path.is_file() and path.name == LATEST.name:
        path = resolve_model(path)
    if path.is_file() and path.suffix != SUFFIX:
        return read_mask(path)
    if path.is_dir() and not is_model(path) and (path / MASK).is_file():
        return read_mask(path / MASK)  # a run that has no model yet
    card = open_card(_model(where))
    receipt = card.card["files"].get(MASK)
    if receipt is None:
        raise InputError(
            where,
            expected="a model that was trained with a mask",
            found=f"{card.name}, whose training had none",
            remedy="Give the mask file itself, or leave mask out.",
        )
    return mask_from(read_member(card.path, MASK, receipt), card.path / MASK)


def _model(where: str | Path) -> Path:
    try:
        path = resolve_model(where)
    except InputError as error:
        raise _nothing(where, "neither such a path nor such a name") from error
    if path.is_dir() and not is_model(path):
        raise _nothing(where, f"a folder without a model and without {MASK}")
    return path


def _nothing(where: str | Path, found: str) -> InputError:
    return InputError(
        where,
        expected="a mask: a mask file, a run folder, or a model that 'segkit models' lists",
        found=found,
        remedy="Give the path of one of them (docs/training.md).",
    )
