"""segkit doctor: can this machine predict and train, and if not, what to do?"""

from __future__ import annotations

import json
from collections.abc import Sequence

from segkit.commands.flags import Parser
from segkit.doctor.examine import examine
from segkit.doctor.summary import summary
from segkit.doctor.text import as_text
from segkit.errors import InputError, printable


def run(arguments: Sequence[str]) -> int:
    """Print facts and problems as text or JSON; the exit code is 3 if a prediction would fail."""
    given = _parser().parse_args(arguments)
    examined = examine(given.model, quick=given.quick)
    if given.json:
        # ASCII: names of models may have bytes, or letters, that the terminal's encoding lacks.
        print(json.dumps(summary(examined), indent=2))
    else:
        print(printable(as_text(examined), lines=True))
    return 0 if examined.can_predict else InputError.exit_code


def _parser() -> Parser:
    parser = Parser(
        prog="segkit doctor",
        description="Look at the device, memory, disks, packages and models of this machine, and"
        " say what would stop or slow down a prediction or a training, and what to do. The exit"
        " code is 3 if a prediction would fail. The output has no name of a user, host or folder.",
    )
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        nargs="+",
        action="extend",
        default=[],
        help="look at these models, as predict -m takes them (default: the model that predict takes"
        " without -m, and those that 'segkit models' lists)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a look of a second: import no packages, load no models and do not read weights; for a"
        " check once a minute, such as HEALTHCHECK of a container",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser
