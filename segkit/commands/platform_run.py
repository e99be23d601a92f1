"""Flags and steps that the commands ``segkit run-as PLATFORM`` have in common."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit import inference
from segkit.bundle.lookup import DEFAULT_FOLDER, is_model, models_in, named_models, resolve_model
from segkit.commands.collector import collector_paused
from segkit.commands.flags import Parser
from segkit.commands.predict import predict_and_print, read_models
from segkit.commands.predict_flags import add_existing, positive
from segkit.errors import SomeCasesFailed, UsageError
from segkit.inference.files.channels import ModelChannels, model_channels
from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.outputs import Existing, Job, check_jobs
from segkit.inference.request import Request
from segkit.plans.plan import Plan
from segkit.units import parse_size

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle
    from segkit.inference import Predictor

MakeJobs = Callable[[ModelChannels, Plan], Sequence[Job]]
"""Function that returns the jobs for a model, by its channels and its plan."""
Describe = Callable[[Sequence[Job], "Bundle"], None]
"""Function that writes files about label maps, by their jobs and the model."""


def platform_parser(platform: str, description: str) -> Parser:
    """Return the parser of a platform, with the flags that all of them have."""
    parser = Parser(prog=f"segkit run-as {platform}", description=description)
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        help="a model or its name (default: $SEGKIT_MODEL, else the only model in $SEGKIT_MODELS)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", metavar="N", type=positive, help="number of CPU threads")
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="limit of the memory of the process, such as 4GB"
    )
    add_existing(parser)
    return parser


def add_folders(parser: Parser, scans: Path, results: Path) -> None:
    """Add the flags for the folders of a platform, with their usual places."""
    parser.add_argument(
        "--input",
        metavar="DIR",
        type=Path,
        default=scans,
        help=f"folder where the platform puts scans (default: {scans})",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=results,
        help=f"folder where the platform looks for results (default: {results})",
    )


def segment(
    given: argparse.Namespace, model: Path, make_jobs: MakeJobs, describe: Describe | None = None
) -> int:
    """Segment the scans of a platform, and return the exit code.

    One scan that fails ends with its own error. Of many, the others are done.

    Args:
        given: the flags of `platform_parser`.
        model: path of the model.
        make_jobs: the jobs for a model.
        describe: writes files beside the label maps that are there at the end.

    Raises:
        SomeCasesFailed: some scans of many cannot be segmented; the log says why.
    """
    with collector_paused():
        bundles = read_models(model, "model")
    plan = inference.check_ensemble(bundles)
    jobs = make_jobs(model_channels(bundles), plan)
    check_jobs(jobs, given.existing)
    predictor = inference.Predictor(
        bundles,
        device=given.device,
        threads=given.threads,
        max_memory=parse_size(given.max_memory) if given.max_memory else None,
    )
    try:
        _predict(jobs, given.existing, predictor)
    finally:
        if describe:
            describe([job for job in jobs if job.done], bundles[0])
    return 0


def _predict(jobs: Sequence[Job], existing: Existing, predictor: Predictor) -> None:
    options = FinalizeOptions(predictor.plan.labels)
    with tempfile.TemporaryDirectory() as folder:
        # A list of outcomes among the results would be a file that the platform does not expect.
        outcomes = Path(folder) / "predictions.json" if len(jobs) > 1 else None
        request = Request(tuple(jobs), options, existing, outcomes_file=outcomes)
        try:
            predict_and_print(request, predictor)
        except SomeCasesFailed as error:
            text = str(error).partition(";")[0]
            raise SomeCasesFailed(f"{text}; the messages above say why") from None


def chosen_model(
    name: str | None, folder: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Path:
    """Return the path of the model to use.

    This is the one that was named, in ``folder`` or the folders of $SEGKIT_MODELS, else the content
    of ``folder``, else $SEGKIT_MODEL, else the only model in the folders of $SEGKIT_MODELS.

    Raises:
        UsageError: there is no model, or there are several and none was named.
        InputError: no model has this name.
    """
    if name:
        folders = [str(folder or ""), environment.get("SEGKIT_MODELS", DEFAULT_FOLDER)]
        return resolve_model(name, {**environment, "SEGKIT_MODELS": os.pathsep.join(folders)})
    if folder is not None and folder.is_dir() and (is_model(folder) or any(models_in(folder))):
        return folder
    if environment.get("SEGKIT_MODEL"):
        return resolve_model(None, environment)
    named = named_models(environment)
    if len(named) == 1:
        return next(iter(named.values()))
    found = f"there are {', '.join(named)}" if named else "there is none"
    places = environment.get("SEGKIT_MODELS", DEFAULT_FOLDER)
    raise UsageError(
        f"no model was named, and in {places} {found}. Name one with -m MODEL or $SEGKIT_MODEL"
    )
