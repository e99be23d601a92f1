"""segkit models: list the models that predict -m finds by name."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from segkit.bundle.card import open_card
from segkit.bundle.lookup import LATEST, ensemble_paths, named_models, resolve_model
from segkit.commands.flags import Parser
from segkit.errors import InputError, SegkitError
from segkit.report.tables import text_table

PATHS = (
    "-m takes a path as well: a run, study or bundle folder, a .segkit file, "
    "or a folder of models (an ensemble)."
)

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Print a table of the models and return the exit code."""
    Parser(
        prog="segkit models",
        description="List the models that 'segkit predict -m NAME' finds: those in the folders of "
        "$SEGKIT_MODELS (default: the folder 'models' in the current folder), and the newest run.",
    ).parse_args(arguments)
    rows = []
    for name, path in {**named_models(), **_newest()}.items():
        try:
            cards = [open_card(member) for member in ensemble_paths(path)]
        except InputError as error:
            log.warning("%s cannot be used: %s", name, error)
            continue
        rows += [[name, card.created, card.hash, ", ".join(card.plan.labels)] for card in cards]
    if not rows:
        print(f"no models; 'segkit train' makes one. {PATHS}")
        return 0
    print(text_table(["name", "created", "hash", "labels"], rows))
    name = shlex.quote(str(rows[0][0]))
    print(f"Predict with one of these names: segkit predict SCAN -m {name}\n{PATHS}")
    return 0


def _newest() -> dict[str, Path]:
    """Return the newest run by the name that -m takes; empty if there is none."""
    try:
        return {str(LATEST): resolve_model(LATEST)} if LATEST.exists() else {}
    except SegkitError:
        return {}
