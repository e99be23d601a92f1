"""The bottleneck made visible: how much the statistics of every layer of a model differ.

It needs a model and scans, and no training: `write_bottleneck` writes a table and a figure.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

import torch

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.bundle.lookup import resolve_model
from segkit.config.compose import load
from segkit.errors import InputError, UsageError
from segkit.files.atomic import write_text
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.planning.norm_report import norm_report
from segkit.planning.plan_dataset import fitting_plan, open_dataset
from segkit.preprocessing.case_store import prepare_cases
from segkit.report.figures import save_figure
from segkit.report.tables import csv_text
from segkit.studies.normalization.bottleneck_figure import bottleneck_figure
from segkit.studies.normalization.measurement import Measurement, as_row
from segkit.studies.normalization.spread import BATCH_SIZES, PATCHES, cell_spread
from segkit.studies.normalization.trained_cell import TrainedCell

log = logging.getLogger(__name__)

COLUMNS = ("measure", "layer", "batch", "value")
NAME = "bottleneck"
CASES = 20
"""Largest number of scans that are read, chosen evenly."""


def write_bottleneck(
    model: str | PathLike[str],
    dataset: str | PathLike[str],
    folder: str | PathLike[str],
    *overrides: str,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    patches: int = PATCHES,
) -> Path:
    """Measure the statistics before each norm of a model on real patches; return the table's path.

    Writes bottleneck.csv (measures ``pool``, ``spread_mean`` and ``spread_sd`` by layer and batch
    size; see `segkit.studies.normalization.spread`), bottleneck.png and bottleneck.svg. Rows
    without a batch size are of the model's own groups, between patches. Of an ensemble the first
    network is measured.

    Args:
        model: a bundle, a run folder, a .segkit file, or the name of a model.
        dataset: labeled scans with the channels and labels of the model.
        folder: where to write.
        *overrides: settings of the dataset, such as "dataset.channels=[CT]".
        batch_sizes: batch sizes for which the statistics of batch norm are computed.
        patches: number of patches; at least twice the largest batch size.

    Raises:
        UsageError: too few patches.
        InputError: a model or dataset that cannot be used, or that do not fit together.
    """
    if not batch_sizes or min(batch_sizes) < 1 or patches < 2 * max(batch_sizes):
        raise UsageError(
            f"patches={patches} and batch_sizes={list(batch_sizes)}: give batch sizes of at least "
            "1, and at least twice as many patches as the largest, for two batches to compare"
        )
    bundle = read_bundle(resolve_model(model))
    with _opened(bundle, [f"dataset={fspath(dataset)}", *overrides]) as cell:
        rows = list(cell_spread(cell, batch_sizes=batch_sizes, patches=patches))
    return _write(Path(folder), rows, bundle)


@contextmanager
def _opened(bundle: Bundle, words: Sequence[str]) -> Iterator[TrainedCell]:
    """Prepare scans for the model in a temporary folder, which is removed afterwards."""
    config = load(words)
    dataset = open_dataset(config)
    plan = fitting_plan(bundle.plan, dataset, bundle.path)
    labeled = [case for case in dataset.cases if case.label is not None]
    if not labeled:
        raise InputError(
            dataset.root,
            expected="a labeled scan",
            found="none",
            remedy="Give scans with label maps: patches are drawn as in a training.",
        )
    chosen = labeled[:: -(-len(labeled) // CASES)]
    log.info("statistics of patches of %d of %d scans", len(chosen), len(labeled))
    mode, device = ComputeMode("float32", "channels_last"), torch.device("cpu")
    network = network_to_memory_format(bundle.networks()[0], mode.layout)
    # On Windows a memory-mapped file cannot be removed before the process ends.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        cases = prepare_cases(chosen, dataset, plan, Path(store))
        yield TrainedCell(bundle.path, config, plan, network, cases, mode, device)


def _write(folder: Path, measured: Sequence[Measurement], bundle: Bundle) -> Path:
    rows = [as_row(measurement) for measurement in measured]
    norms = dict.fromkeys(row.equals for row in norm_report(bundle.plan))
    figure = bottleneck_figure(rows, ", ".join(norms))
    if figure is None:
        raise InputError(
            bundle.path,
            expected="a model with norms",
            found="none whose statistics differ",
            remedy="Give a model that was trained with a norm other than none.",
        )
    save_figure(figure, folder / NAME)
    table = folder / f"{NAME}.csv"
    write_text(table, csv_text(COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows]))
    return table
