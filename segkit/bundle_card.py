"""bundle.json and plan.json of a bundle, read and checked without torch: what a model is, before its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit.bundle_files import read_object
from segkit.errors import InputError
from segkit.model_names import CARD
from segkit.plans import Plan

FORMAT_VERSION = 1
KIND = "segkit bundle"
PLAN = "plan.json"
REMEDY = "Give a bundle or run folder, or a .segkit file, that segkit wrote; if this was one, copy it again."


def bundle_place(path: str | Path) -> Path:
    """The folder that holds bundle.json (of a run folder its ``bundle``), or the .segkit file."""
    place = Path(path)
    if place.is_dir() and not (place / CARD).is_file() and (place / "bundle" / CARD).is_file():
        return place / "bundle"
    return place


def card_and_plan(place: Path) -> tuple[dict[str, Any], Plan]:
    """The checked content of bundle.json, and the plan.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    card = read_card(place)
    return card, Plan.from_dict(read_object(place, PLAN, card["files"][PLAN]), place / PLAN)


def read_card(place: Path) -> dict[str, Any]:
    """bundle.json, checked: kind, version, and a receipt for the plan and for every weights file."""
    card = read_object(place, CARD)
    if card.get("kind") != KIND:
        raise InputError(
            place / CARD, expected=f"the kind {KIND!r}", found=repr(card.get("kind")), remedy="Is this a model?"
        )
    version = card.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            place / CARD,
            expected=f"bundle format {FORMAT_VERSION} or older",
            found=f"format {version}",
            remedy="It was written by a newer segkit: update segkit to read it.",
        )
    _check_card(card, place / CARD)
    return card


def _check_card(card: dict[str, Any], where: Path) -> None:
    files, weights = card.get("files"), card.get("weights")
    named = [PLAN, *weights.values()] if isinstance(weights, dict) and weights else [None]
    receipts = isinstance(files, dict) and all(isinstance(name, str) and name in files for name in named)
    if not (
        receipts
        and all(_is_receipt(receipt) for receipt in card["files"].values())
        and {"name", "created"} <= card.keys()
    ):
        raise InputError(
            where,
            expected="name, created, weights and files, with bytes and sha256 of each file",
            found=f"the keys {', '.join(sorted(card))}",
            remedy=REMEDY,
        )


def _is_receipt(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bytes"), int) and isinstance(value.get("sha256"), str)
