"""docs/reference.md is complete: verbs, flags, overrides, choices and exit codes.

Tests of the verbs compare its output files with real runs (`tools.reference.files_without_row`).
"""

from __future__ import annotations

import inspect
import re
import signal

import segkit.errors
from segkit.cli import PIPE_CLOSED, VERBS
from segkit.config.keys import known_keys
from segkit.files.processes import SIGNAL_CODES
from tools.command_lines import flags
from tools.pages import Page
from tools.reference import PAGE, rendered, setting_docstrings

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_reference_is_up_to_date() -> None:
    assert rendered(TEXT) == TEXT, "docs/reference.md is out of date: run `make reference`"


def test_every_verb_flag_and_override_is_in_it() -> None:
    names = set(Page(PAGE, TEXT).spans)
    first = {name.split()[0] for name in names}
    assert {f"segkit {verb}" for verb in VERBS} <= names
    assert flags() - {"-h", "--help"} <= first | {"--version"}
    assert set(known_keys()) - {"network.name", "compute.name"} <= names


def test_every_setting_says_what_it_means() -> None:
    assert set(known_keys()) - set(setting_docstrings()) == set()


def test_every_exit_code_is_in_it() -> None:
    section = TEXT[TEXT.index("## Exit codes") :]
    codes = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", section, re.M)
        for code in row.split(",")
    }
    errors = [kind for _, kind in inspect.getmembers(segkit.errors, inspect.isclass)]
    raised = {kind.exit_code for kind in errors if issubclass(kind, segkit.errors.SegkitError)}
    stopped = {SIGNAL_CODES + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    assert codes == {0, *raised, *stopped, PIPE_CLOSED}
