"""TensorBoard and MLflow: Lightning's loggers, which also get the rows of training.csv.

Both write to local files, and both packages are extras.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from segkit.config.keys import get, leaves
from segkit.config.overrides import PATHS
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError
from segkit.files.atomic import unwritable, write_text
from segkit.training.outputs.run_folder import RUNS

MLFLOW_RUN = "mlflow_run.txt"
"""File in the run folder with the id of the run in MLflow, which a resumed run continues."""
TENSORBOARD = "tensorboard"
"""Folder in the run folder with TensorBoard's files."""
LABEL_COLUMNS = ("dice", "ci95_dice")
"""Prefixes of the columns of training.csv that name a label."""


def check_tracker(name: str) -> None:
    """Check that the package of a tracker is installed, before anything is measured.

    Raises:
        UsageError: the package is missing.
    """
    if name not in TRACKERS:
        return
    try:
        # find_spec would mistake a folder of this name, such as run_dir=mlflow, for the package.
        distribution(name)
    except PackageNotFoundError:
        raise UsageError(
            f"logger={name} needs the package {name}. Type: pip install 'segkit[{name}]'"
        ) from None


def open_tracker(config: TrainConfig, folder: Path, step: int) -> Logger | None:
    """Return the tracker that ``config`` names, or None; a new run logs its settings.

    Args:
        config: settings of the training.
        folder: the run folder.
        step: number of steps that the run has done.
    """
    if config.logger not in TRACKERS:
        return None
    tracker = TRACKERS[config.logger](folder, step)
    if step == 0:
        tracker.log_hyperparams(_settings(config))
    return tracker


def log_row(tracker: Logger, row: Mapping[str, float | str], labels: Mapping[str, int]) -> None:
    """Log a row of training.csv; labels are grouped as dice/NAME and ci95_dice/NAME.

    Args:
        tracker: TensorBoard or MLflow.
        row: values by column.
        labels: label values by name.
    """
    grouped = {
        f"{column}_{label}": f"{column}/{_accepted_name(label, value)}"
        for column in LABEL_COLUMNS
        for label, value in labels.items()
    }
    metrics = {grouped.get(key, key): float(value) for key, value in row.items() if key != "step"}
    tracker.log_metrics(metrics, step=int(row["step"]))


def _accepted_name(label: str, value: int) -> str:
    """Return ``label`` if both trackers accept it, else a name from its value, which is unique."""
    return label if re.fullmatch(r"[\w. -]+", label, re.ASCII) else f"label_{value}"


def _settings(config: TrainConfig) -> dict[str, str]:
    """Return every setting except paths, which may name people and mean nothing elsewhere."""
    return {key: str(get(config, key)) for key in leaves(config) if key not in PATHS.values()}


def _tensorboard(folder: Path, step: int) -> Logger:
    # A killed run has logged steps that the resumed run repeats: drop those after the checkpoint.
    purge_step = step + 1 if step else None
    return TensorBoardLogger(folder / TENSORBOARD, name="", version="", purge_step=purge_step)


def _local_database() -> str:
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(RUNS, error.strerror or str(error)) from error
    return f"sqlite:///{(RUNS / 'mlflow.db').absolute()}"


def _mlflow(folder: Path, step: int) -> Logger:
    # No telemetry, as README promises. MLflow reads this variable when the logger imports it.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _local_database()
    id_file = folder / MLFLOW_RUN
    run_id = id_file.read_text(encoding="utf-8").strip() if step and id_file.is_file() else None
    logger = MLFlowLogger("segkit", run_name=folder.name, tracking_uri=uri, run_id=run_id)
    write_text(id_file, f"{logger.run_id}\n")
    return logger


TRACKERS: dict[str, Callable[[Path, int], Logger]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
