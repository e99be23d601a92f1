"""ModelCard: bundle.json and plan.json of a bundle, read and checked without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.bundle.archive import read_object
from segkit.bundle.overlap_dice import check_overlap_dice
from segkit.bundle.precision_agreement import check_agreement
from segkit.bundle.trained_on import check_trained_on
from segkit.errors import InputError
from segkit.files.names import CARD
from segkit.labels.postprocessing import RULES
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_from_dict
from segkit.quality.arrangement_entry import check_arrangement
from segkit.quality.calibration import check_calibration
from segkit.quality.entry import check_expected_dice

FORMAT_VERSION = 1
KIND = "segkit bundle"
PLAN = "plan.json"
CONFIG = "config.json"
REMEDY = (
    "Give a bundle or run folder, or a .segkit file, that segkit wrote; if this was one, copy it"
    " again."
)


@dataclass(frozen=True, eq=False)
class ModelCard:
    """Description of a model: its plan and the content of bundle.json."""

    path: Path
    """Folder that contains bundle.json, or the .segkit file."""
    plan: Plan
    card: dict[str, Any]
    """Content of bundle.json."""

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.card["name"])

    @property
    def created(self) -> str:
        """Date and time in UTC, ISO 8601."""
        return str(self.card["created"])

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds that have weights."""
        return tuple(self.card["weights"])

    @property
    def hash(self) -> str:
        """Twelve hex digits over everything that affects a prediction.

        This is the plan, all weights and the postprocessing.
        """
        weights = sorted(
            str(self.card["files"][name]["sha256"]) for name in self.card["weights"].values()
        )
        rules = [f"{name}:{rule}" for name, rule in sorted(self.postprocessing.items())]
        return hashlib.sha256(" ".join([self.plan.hash(), *weights, *rules]).encode()).hexdigest()[
            :12
        ]

    @property
    def postprocessing(self) -> dict[str, str]:
        """Postprocessing of each label: a name in `segkit.labels.postprocessing.RULES`."""
        return dict(self.card.get("postprocessing", {}))

    @property
    def config(self) -> dict[str, Any] | None:
        """Configuration of the training, or None if the bundle has none."""
        receipt = self.card["files"].get(CONFIG)
        return None if receipt is None else read_object(self.path, CONFIG, receipt)


def open_card(path: str | Path) -> ModelCard:
    """Read the description of the model in a bundle folder, a run folder or a .segkit file.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    bundle = bundle_path(path)
    card, plan = read_card_and_plan(bundle)
    return ModelCard(bundle, plan, card)


def bundle_path(path: str | Path) -> Path:
    """Return the folder that contains bundle.json, or the .segkit file.

    For a run folder this is its subfolder ``bundle``.
    """
    folder = Path(path)
    inside = folder / "bundle"
    if folder.is_dir() and not (folder / CARD).is_file() and (inside / CARD).is_file():
        return inside
    return folder


def read_card_and_plan(bundle: Path) -> tuple[dict[str, Any], Plan]:
    """Read and check bundle.json and the plan of the ``bundle``, a folder or .segkit file.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    card = read_card(bundle)
    plan = plan_from_dict(read_object(bundle, PLAN, card["files"][PLAN]), bundle / PLAN)
    _check_postprocessing(card.get("postprocessing", {}), plan, bundle / CARD)
    check_agreement(card, plan, bundle / CARD)
    check_overlap_dice(card, plan, bundle / CARD)
    check_expected_dice(card, plan, bundle / CARD)
    check_calibration(card, plan, bundle / CARD)
    check_trained_on(card, bundle / CARD)
    check_arrangement(card, plan, bundle / CARD)
    return card, plan


def read_card(bundle: Path) -> dict[str, Any]:
    """Read bundle.json and check kind, version, and the receipts of the plan and of all weights.

    Raises:
        InputError: not a bundle, a newer format, or a damaged file.
    """
    card = read_object(bundle, CARD)
    if card.get("kind") != KIND:
        raise InputError(
            bundle / CARD,
            expected=f"the kind {KIND!r}",
            found=repr(card.get("kind")),
            remedy="Is this a model?",
        )
    version = card.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            bundle / CARD,
            expected=f"bundle format {FORMAT_VERSION} or older",
            found=f"format {version}",
            remedy="It was written by a newer segkit: update segkit to read it.",
        )
    _check_card(card, bundle / CARD)
    return card


def _check_card(card: dict[str, Any], where: Path) -> None:
    files, weights = card.get("files"), card.get("weights")
    named = [PLAN, *weights.values()] if isinstance(weights, dict) and weights else [None]
    receipts = isinstance(files, dict) and all(
        isinstance(name, str) and name in files for name in named
    )
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
    return (
        isinstance(value, dict)
        and isinstance(value.get("bytes"), int)
        and isinstance(value.get("sha256"), str)
    )


def _check_postprocessing(rules: Any, plan: Plan, where: Path) -> None:
    valid = (
        isinstance(rules, dict)
        and rules.keys() <= plan.labels.keys()
        and all(isinstance(rule, str) and rule in RULES for rule in rules.values())
    )
    if not valid:
        raise InputError(
            where,
            expected=f"postprocessing of the labels {', '.join(plan.labels)} by {', '.join(RULES)}",
            found=str(rules),
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )
