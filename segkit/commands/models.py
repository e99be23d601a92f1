"""segkit models: the models that predict -m finds by name."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from segkit.bundle_card import open_card
from segkit.errors import InputError
from segkit.model_names import ensemble, named_models
from segkit.report.tables import text_table

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Parse, list, print; returns the exit code."""
    argparse.ArgumentParser(
        prog="segkit models",
        description="List the models in the folders of $SEGKIT_MODELS (by default: models, in the current folder).",
        allow_abbrev=False,
    ).parse_args(arguments)
    rows = []
    for name, path in named_models().items():
        try:
            cards = [open_card(place) for place in ensemble(path)]
        except InputError as error:
            log.warning("%s cannot be used: %s", name, error)
            continue
        rows += [[name, card.created, card.hash, ", ".join(card.plan.labels)] for card in cards]
    print(text_table(["name", "created", "hash", "labels"], rows) if rows else "no models; 'segkit train' makes one")
    return 0
