"""Where the rows of training.csv go as well: Lightning's loggers of TensorBoard and MLflow, which write to local files.

Both packages are extras.
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
"""In the run folder: the id under which MLflow knows the run, for a resume to go on with."""
TENSORBOARD = "tensorboard"
"""In the run folder: the folder of TensorBoard's files."""


def check_logger(name: str) -> None:
    """Before anything is measured: is the package there?

    Raises:
        UsageError: it is not; says what to type.
    """
    if name not in LOGGERS:
        return
    try:
        distribution(
            name
        )  # find_spec would take a folder of this name, such as run_dir=mlflow, for the package
    except PackageNotFoundError:
        raise UsageError(
            f"logger={name} needs the package {name}. Type: pip install 'segkit[{name}]'"
        ) from None


def open_logger(config: TrainConfig, folder: Path, step: int) -> Logger | None:
    """The logger that ``config`` names, for a run that has done ``step`` steps; its settings are logged at once."""
    if config.logger not in LOGGERS:
        return None
    logger = LOGGERS[config.logger](folder, step)
    if step == 0:
        logger.log_hyperparams(_settings(config))
    return logger


def log_row(logger: Logger, row: Mapping[str, float | str], labels: Mapping[str, int]) -> None:
    """The numbers of a row of training.csv; those of labels are grouped, as dice/NAME and ci95_dice/NAME."""
    names = {
        f"{kind}_{label}": f"{kind}/{_plain(label, value)}"
        for kind in KINDS
        for label, value in labels.items()
    }
    numbers = {names.get(key, key): float(value) for key, value in row.items() if key != "step"}
    logger.log_metrics(numbers, step=int(row["step"]))


KINDS = ("dice", "ci95_dice")


def _plain(label: str, value: int) -> str:
    """``label`` where both trackers take it as it is, else its value, so that no two labels become one."""
    return label if re.fullmatch(r"[\w. -]+", label, re.ASCII) else f"label_{value}"


def _settings(config: TrainConfig) -> dict[str, str]:
    """Every knob but the paths, which may name people and mean nothing elsewhere."""
    return {key: str(get(config, key)) for key in leaves(config) if key not in PATHS.values()}


def _tensorboard(folder: Path, step: int) -> Logger:
    # A run that was killed has logged steps that are done again: those after the checkpoint are dropped.
    return TensorBoardLogger(
        folder / TENSORBOARD, name="", version="", purge_step=step + 1 if step else None
    )


def _own_database() -> str:
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(RUNS, error.strerror or str(error)) from error
    return f"sqlite:///{(RUNS / 'mlflow.db').absolute()}"


def _mlflow(folder: Path, step: int) -> Logger:
    # README: no telemetry. MLflow reads this when it is imported, which the logger does.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _own_database()
    known = folder / MLFLOW_RUN
    run_id = known.read_text(encoding="utf-8").strip() if step and known.is_file() else None
    logger = MLFlowLogger("segkit", run_name=folder.name, tracking_uri=uri, run_id=run_id)
    write_text(known, f"{logger.run_id}\n")
    return logger


LOGGERS: dict[str, Callable[[Path, int], Logger]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}
