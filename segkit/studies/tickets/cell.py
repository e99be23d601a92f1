"""One cell of the study: a training, and what is measured after it and right after pruning."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from segkit.networks.masks import apply_masks, kept_and_total, layer_counts
from segkit.report.tables import Cell
from segkit.studies.cells import RESULTS, Tables
from segkit.studies.study_folder import train_arm
from segkit.studies.tickets import curves
from segkit.studies.tickets.activations import BothSides, shift_rows
from segkit.studies.tickets.after_pruning import Bench
from segkit.studies.tickets.files import RUN, Masks, TicketFiles
from segkit.studies.tickets.levels import TICKET, Training
from segkit.studies.tickets.starts import Pruning, fewer_at_random, pruned_at_once, start_of
from segkit.training.outputs.run_folder import CHECKPOINTS
from segkit.training.setup import Setup

DENSITY, ACTIVATIONS = "density", "activations"
"""Names of the tables beside results.csv."""

Row = dict[str, Cell]


@dataclass(frozen=True)
class TicketCell:
    """A training of the study, with the setup of its norm and seed."""

    training: Training
    study: Setup
    """The study, with the configuration and the plan of this training's norm and seed."""
    bench: Bench
    pruning: Pruning

    def compute(self, folder: Path) -> Tables:
        """Train in ``folder``, measure, and return the tables of the cell."""
        train_arm(start_of(self.training, self.study, self.pruning))
        tables = self._tables()
        # Checkpoints have several times the size of the model, and a finished run needs none.
        shutil.rmtree(folder / RUN / CHECKPOINTS, ignore_errors=True)
        return tables

    def _tables(self) -> Tables:
        network, masks = self._files.network(self.training), self._files.masks(self.training)
        tables: dict[str, list[Row]] = {RESULTS: self.bench.dice_rows(network, curves.DICE)}
        if self.training.kind == TICKET:
            tables[DENSITY] = density_rows(masks)
        if self.training.kind == TICKET and self.training.level:
            dense = self.bench.moments(self._files.network(self.training.ticket_of(0)))
            parts = (
                {ACTIVATIONS: self._shifts("retrained", dense, network)},
                self._one_level(masks),
                self._one_shot(dense),
            )
            for part in parts:
                for name, rows in part.items():
                    tables.setdefault(name, []).extend(rows)
        kept, total = kept_and_total(masks)
        tables[RESULTS] = [{"remaining": kept / total, **row} for row in tables[RESULTS]]
        return tables

    def _one_level(self, masks: Masks) -> dict[str, list[Row]]:
        """Return Dice and activations of the level before, pruned to this level."""
        before = self.training.ticket_of(self.training.level - 1)
        network = self._files.network(before)
        reference = self.bench.moments(network)
        apply_masks(network, masks)
        names = (curves.PRUNED, curves.PRUNED_RECALIBRATED)
        rows = self._shifts("pruned", reference, network)
        dice = self._dice_twice(network, *names)
        network = self._files.network(before)
        apply_masks(network, fewer_at_random(masks, self.training, self._files))
        dice += self.bench.dice_rows(network, curves.PRUNED_AT_RANDOM, few=True)
        return {RESULTS: dice, ACTIVATIONS: rows}

    def _one_shot(self, dense: BothSides) -> dict[str, list[Row]]:
        """Return Dice and activations of the dense network, pruned to this level at once."""
        start = self.training.ticket_of(0)
        network = self._files.network(start)
        masks = pruned_at_once(start, self._files, self.pruning, self.training.level)
        apply_masks(network, masks)
        rows = self._shifts("one_shot", dense, network)
        names = (curves.ONE_SHOT, curves.ONE_SHOT_RECALIBRATED)
        return {RESULTS: self._dice_twice(network, *names), ACTIVATIONS: rows}

    def _dice_twice(self, network: nn.Module, stored: str, recalibrated: str) -> list[Row]:
        """Return the Dice of a network, and again after its stored statistics, if it has any, were
        measured anew."""
        rows = self.bench.dice_rows(network, stored, few=True)
        if self.bench.recalibrate(network):
            rows += self.bench.dice_rows(network, recalibrated, few=True)
        return rows

    def _shifts(self, change: str, reference: BothSides, network: nn.Module) -> list[Row]:
        rows = shift_rows(reference, self.bench.moments(network))
        return [{"change": change, **row} for row in rows]

    @property
    def _files(self) -> TicketFiles:
        return TicketFiles(self.study.run_dir)


def density_rows(masks: Masks) -> list[Row]:
    """Return a row for each kernel with the number and the share of its weights that are kept."""
    return [
        {
            "layer": count.name,
            "kept": count.kept,
            "weights": count.total,
            "density": count.density,
        }
        for count in layer_counts(masks)
    ]
