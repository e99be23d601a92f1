"""segkit calibrate: fit the expected Dice and the temperatures of a trained model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress

from segkit.commands.flags import Parser
from segkit.commands.train_words import with_dataset
from segkit.config.checks import near_keys
from segkit.errors import UsageError, printable
from segkit.quality.arrangement_entry import ARRANGEMENT_KEY
from segkit.quality.calibration import CALIBRATION_KEY
from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.records import accuracy_text, arrangement_text, calibration_text

CASES = 20
"""Largest number of cases of each network, unless the user gives another."""
DETAILS = """\
The expected Dice of 'segkit predict --stats' and the temperature of 'segkit predict --calibrated'
are fitted at the end of a training, as far as there is time. This command does the same for a
finished model: it predicts labeled cases that the model was not trained on, as they are and with
noise, blur, exchanged axes or a part cut off, and writes what it fits into the model. Label maps,
weights and the hash of the model stay the same.

MODEL is a run folder, the folder of a cross-validation (each fold measures the cases that it held
out), a bundle, a .segkit file, or a folder of several models, each of which is fitted on its own.

DATASET is the dataset of the training, which a run folder names itself, or any other labeled cases
with the same channels and labels. Cases that the model was trained on are left out: the model
records hashes of their voxels. Models of older versions record none; for them the split.json of the
run says which cases were held out.

overrides (KEY=VALUE): dataset.channels, dataset.labels and others of the dataset, by default those
of the training; dataset.store=FOLDER keeps prepared cases; compute=cpu|gpu; trainer.threads=N.
"""


def run(arguments: Sequence[str]) -> int:
    """Calibrate, print what was fitted, and return the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    words = with_dataset(given.words)
    # Imported here because it needs torch: usage errors are answered without it.
    from segkit.training.calibration.calibrate import Wanted, calibrate  # noqa: PLC0415

    wanted = Wanted(given.cases, given.minutes, unseen=given.unseen)
    for model, fitted in calibrate(given.model, *words, wanted=wanted):
        print(printable(str(model.path)))
        print(f"  expected Dice: {accuracy_text(fitted.expected[EXPECTED_KEY]['accuracy'])}")
        if fitted.calibration:
            print(f"  calibration: {calibration_text(fitted.calibration[CALIBRATION_KEY])}")
        if fitted.arrangement:
            print(f"  usual places: {arrangement_text(fitted.arrangement[ARRANGEMENT_KEY])}")
    return 0


def _positive(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise UsageError(f"--minutes {text}: must be a number above 0")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 3:
        raise UsageError(f"--cases {text}: must be a whole number of at least 3")
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        prog="segkit calibrate",
        usage="segkit calibrate MODEL [DATASET] [--minutes M] [--cases N] [KEY=VALUE ...]",
        description="Fit the expected Dice and the temperatures of a trained model to cases that "
        "it was not trained on, and write them into the model.",
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.override_hint = near_keys
    parser.add_argument(
        "model", metavar="MODEL", help="a run or bundle folder, a .segkit file, or a model's name"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="DATASET | KEY=VALUE",
        help="a folder or CSV file with labeled scans, or dataset=PATH (default: the dataset of "
        "the run); and overrides",
    )
    parser.add_argument(
        "--minutes", type=_positive, metavar="M", help="time for measuring (default: no limit)"
    )
    parser.add_argument(
        "--cases",
        type=_whole,
        default=CASES,
        metavar="N",
        help="largest number of cases of each network (default: 20)",
    )
    parser.add_argument(
        "--unseen",
        action="store_true",
        help="the model was trained on none of these cases; for models of older versions, which "
        "do not record their scans",
    )
    return parser
