"""train.log of a run."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from segkit.cli import log_to_stderr
from segkit.errors import UsageError
from segkit.progress import StatusLine
from segkit.training.outputs.run_log import early_messages, run_log

LOG = logging.getLogger("segkit.test")
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def lines(folder: Path) -> list[str]:
    """The lines of the log, without their times."""
    text = (folder / "train.log").read_text(encoding="utf-8")
    assert all(re.match(TIME, line) for line in text.splitlines())
    return [re.sub(TIME, "", line) for line in text.splitlines()]


@pytest.mark.parametrize("json_lines", [False, True])
def test_messages_before_the_folder_is_known_are_kept(json_lines: bool, tmp_path: Path) -> None:
    with log_to_stderr(json_lines=json_lines), early_messages():
        LOG.info("planned")
        with run_log(tmp_path):
            LOG.warning("a label is rare")
            StatusLine().write("step 1 of 2")
        LOG.info("printed later")
    assert lines(tmp_path) == ["planned", "warning: a label is rare", "step 1 of 2"]


def test_a_resumed_run_appends(tmp_path: Path) -> None:
    with log_to_stderr():
        for word in ("first", "second"):
            with run_log(tmp_path):
                LOG.info(word)
    assert lines(tmp_path) == ["first", "second"]


def test_the_error_that_ends_a_run_is_in_its_log(tmp_path: Path) -> None:
    with pytest.raises(UsageError), run_log(tmp_path):
        raise UsageError("no such thing")
    with pytest.raises(KeyboardInterrupt), run_log(tmp_path):
        raise KeyboardInterrupt
    assert lines(tmp_path) == ["error: no such thing", "error: stopped"]


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with run_log(tmp_path / "nowhere"):
        pass
    assert "train.log cannot be written: No such file or directory" in caplog.text


def test_no_handler_is_left(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    with run_log(tmp_path):
        pass
    assert logging.getLogger().handlers == before
