"""segkit train: overrides in, a run folder with a model out."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import segkit
import segkit.progress
from segkit.commands import train_multirun
from segkit.commands.flags import Parser
from segkit.commands.train_words import add_words, training_words
from segkit.config.choices import choices
from segkit.config.compose import load, to_yaml
from segkit.config.keys import get
from segkit.config.rules import CHECKS, known_keys
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError
from segkit.progress import CaseCounter
from segkit.training.compute.slurm import in_job

MEANINGS = """\
overrides (KEY=VALUE), the ones that matter most:
  DATASET, or dataset=PATH       labelled scans: a Decathlon folder, an nnU-Net raw folder, a folder with
                                 images/ and labels/, or a CSV file
  dataset.channels=[FLAIR,T1]    names of channels where the layout has none
  'dataset.labels={{spleen:1,liver:5}}'  in quotes, for the shell changes braces: names of labels, or a subset of them;
                                 other values become background
  dataset.store=PATH             where prepared cases are kept for later runs; default 'prepared' beside the run
  trainer.max_minutes=M          how long, from the start of the process to the model written,
  trainer.max_steps=N            or how many steps (2000 if neither is given)
  fold=0..k-1|all                the fold that validates; all trains on every case
  folds=N                        into how many folds the patients are divided; default 5, fewer for few patients
  network=NAME                   {networks}
  network.dims=2|3               2 cuts scans into slices; the default for pictures is 2, else 3
  network.norm=NAME              group, instance, layer, batch or none
  network.channels_per_group=N   or network.num_groups=N, never both; auto sizes the groups to each layer
  plan=FILE                      follow an edited plan.json of 'segkit plan'
  plan.spacing plan.patch        bend its rules: mm, and voxels, along X, Y and Z
  plan.memory=8GB                what one training step may take
  augment.mirror=auto|none|[0,2] axes to mirror; auto asks the labels' geometry and sides; or all
  preset=NAME                    whose recipe to start from: {presets}
  weights=MODEL                  start from a trained model: a bundle or run folder, a .segkit file, or a name
  run_dir=PATH                   where the run goes; default runs/<dataset>/<network>-<hash>
  logger=tensorboard|mlflow      rows of training.csv go there as well (pip install 'segkit[tensorboard]')
  seed=N                         of the network's start and of every random draw
  compute=NAME                   {computes}; slurm sends the training out as a job

several values, as in seed=0,1,2 network.norm=group,instance or seed=range(1,5), need --multirun (-m): every combination
is trained, each in its own run folder; the table at the end has mean and spread over seeds and folds

every key, its default, and what it may be:
{keys}
"""


def run(arguments: Sequence[str]) -> int:
    """Parse, train, and say where everything is; returns the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = training_words(given)
    if given.multirun:
        return train_multirun.run(words, show=given.show)
    # A wrong override is said at once, before the second that torch takes to import.
    config = load(words)
    if given.show:
        print(to_yaml(config), end="")
        return 0
    if given.resume and not (config.dataset.path or config.run_dir):
        raise UsageError(
            "which run? Give run_dir=PATH, the folder of the run, or the words that it was started with."
        )
    if config.compute.name == "slurm" and not in_job():
        return train_multirun.run(words)
    with CaseCounter("measuring") as counter:
        # The public name is imported here, with torch and Lightning: --help and --show answer without them.
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


class _Help(argparse.Action):
    """Composes the list of keys only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.epilog = MEANINGS.format(
            networks=", ".join(choices("network")),
            computes=", ".join(choices("compute")),
            presets=", ".join(choices("preset")),
            keys=key_lines(),
        )
        parser.print_help()
        parser.exit()


def key_lines(*, without: str = "") -> str:
    """Every override, its default, and what it may be; one a line."""
    return "\n".join(_key_line(key) for key in known_keys() if key != without)


def _key_line(key: str) -> str:
    default = get(TrainConfig(), key)
    start = f"{key}={'null' if default is None else str(default).replace(' ', '')}"
    return f"  {start:<36} {CHECKS[key][1]}" if key in CHECKS else f"  {start}"


def _parser() -> Parser:
    parser = Parser(
        prog="segkit train",
        usage="segkit train DATASET [KEY=VALUE ...] [--config YAML] [--show] [--resume] [--multirun]",
        description="Plan, train and write a model. A finished run is not run again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="this text")
    add_words(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the composed configuration and end"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")
    parser.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="train every combination of values as in seed=0,1",
    )
    return parser
