"""segkit train: train a model on a dataset."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path

import segkit
import segkit.progress
from segkit.commands import train_multirun
from segkit.commands.flags import Parser
from segkit.commands.train_words import add_words, training_words
from segkit.config.choices import choices
from segkit.config.compose import load, to_yaml
from segkit.config.keys import get, known_keys
from segkit.config.overrides import PATHS
from segkit.config.rules import CHECKS
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError
from segkit.progress import CaseCounter
from segkit.training.compute.slurm import in_job

DETAILS = """\
the most important overrides (KEY=VALUE):
  DATASET, or dataset=PATH       labeled scans: a Decathlon folder, an nnU-Net raw folder, a folder
                                 with images/ and labels/, or a CSV file
  dataset.channels=[FLAIR,T1]    names of the channels, if the dataset has none
  'dataset.labels={{spleen:1,liver:5}}'  names of the labels, or a subset of them: all other values
                                 become background. The quotes keep the shell from changing it
  dataset.store=PATH             folder for prepared cases, which later runs reuse; default:
                                 'prepared' beside the run
  trainer.max_minutes=M          time from the start of the program to the written model,
  trainer.max_steps=N            or number of training steps (default: 2000 steps)
  fold=0..k-1|all                fold used for validation; all: train on every case
  folds=N                        number of folds, split by patient;
                                 default: 5, fewer for few patients
  network=NAME                   {networks}
  network.dims=2|3               2 cuts scans into slices; default: 2 for pictures, else 3
  network.norm=NAME              {norms}
  network.channels_per_group=N   group size, or network.num_groups=N, the number of groups; auto
                                 chooses the groups for each layer
  plan=FILE                      follow the plan.json that 'segkit plan' has written, edited or not
  plan.spacing, plan.patch       spacing in mm and patch in voxels along X, Y and Z, instead of the
                                 planned ones
  plan.memory=8GB                memory for the activations of one training step; sizes the patch
  augment.mirror=auto|all|none|[0,2]  axes to mirror at random; auto: those that the
                                 symmetry of the labels and their left and right sides allow
  preset=NAME                    training recipe to start from: {presets}
  weights=MODEL                  trained model to start from: a bundle or run folder, a .segkit
                                 file, or a name that 'segkit models' lists
  mask=FILE|RUN|MODEL            the weights that a mask prunes are and stay 0
  trainer.rewind_step=N          write the weights after step N into the run folder, from which
  rewind=RUN                     another training continues at step N, with a new optimizer
  run_dir=PATH                   folder of the run; default: runs/<dataset>/<network>-<hash>
  logger=tensorboard|mlflow      experiment tracker that gets the rows of training.csv as well
                                 (pip install 'segkit[tensorboard]')
  seed=N                         seed of the initial weights and of all random numbers
  compute=NAME                   {computes}; slurm submits the training as a job

Several values, as in seed=0,1,2 network.norm=group,instance or seed=range(1,5), need --multirun
(-m). Then every combination is trained in a run folder of its own, and a table at the end has the
mean and the standard deviation over seeds and folds.

all overrides with their defaults and allowed values:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Train, print where the results are, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    if given.multirun:
        return train_multirun.run(words, show=given.show)
    # Overrides are checked first: importing torch takes a second.
    config = load(words)
    if given.show:
        print(to_yaml(config), end="")
        return 0
    if given.resume and not (config.dataset.path or config.run_dir):
        raise UsageError(
            "which run? Give run_dir=PATH, the folder of the run, "
            "or the overrides that it was started with."
        )
    if config.compute.name == "slurm" and not in_job():
        return train_multirun.run(words)
    with CaseCounter("measuring") as counter:
        # This name imports torch and Lightning, which --help and --show do not need.
        run_dir = segkit.train(
            *words,
            resume=given.resume,
            progress=counter.show,
            started=segkit.progress.process_start(),
        )
    print(_where(run_dir), end="")
    return 0


def _where(run_dir: Path) -> str:
    rows = [
        ("model", run_dir / "bundle"),
        ("report", run_dir / "report.html"),
        ("curve", run_dir / "progress.png"),
        ("numbers", run_dir / "training.csv"),
        ("plan", run_dir / "plan.json"),
        ("config", run_dir / "config.yaml"),
    ]
    lines = [f"  {name:<8} {path}\n" for name, path in rows if path.exists()]
    model = shlex.quote(str(run_dir))
    return "".join(
        ["Training is done:\n", *lines, f"Predict with: segkit predict SCAN -m {model}\n"]
    )


def _details() -> str:
    """Return the end of the help: the most important overrides, then all of them."""
    return DETAILS.format(
        networks=", ".join(choices("network")),
        computes=", ".join(choices("compute")),
        norms=CHECKS["network.norm"][1],
        presets=", ".join(choices("preset")),
        keys=key_lines(),
    )


def key_lines(*, without: Collection[str] = ()) -> str:
    """Return every override with its default and its allowed values, one in each line."""
    return "\n".join(_key_line(key) for key in known_keys() if key not in without)


def _key_line(key: str) -> str:
    default = get(TrainConfig(), key)
    start = f"{key}={'null' if default is None else str(default).replace(' ', '')}"
    line = f"  {start:<36} {_allowed(key)}"
    return textwrap.fill(line, 100, subsequent_indent=" " * 39, break_on_hyphens=False)


def _allowed(key: str) -> str:
    """Return the allowed values of an override in words."""
    if key in CHECKS:
        return CHECKS[key][1]
    if key in PATHS.values():
        return "a path"
    if isinstance(get(TrainConfig(), key), bool):
        return "true or false"
    return f"one of {', '.join(choices(key.removesuffix('.name')))}"


def _parser() -> Parser:
    parser = Parser(
        prog="segkit train",
        usage="segkit train DATASET [KEY=VALUE ...] "
        "[--config YAML] [--show] [--resume] [--multirun]",
        description="Plan and train a model on a dataset. A finished run is not trained again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = _details
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the complete configuration and exit"
    )
    parser.add_argument("--resume", action="store_true", help="continue an unfinished run")
    parser.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="train every combination of several values, as in seed=0,1",
    )
    return parser
