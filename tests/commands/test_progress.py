"""The line that counts cases."""

from __future__ import annotations

import pytest

from segkit.commands.progress import CaseCounter


def test_rewrites_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with CaseCounter("measuring") as counter:
        counter.shown = 0.0
        counter.show(1, 9, "patient name")
        counter.show(2, 9, "patient name")
    assert capsys.readouterr().err == "\r\x1b[Kmeasuring: 1 of 9 cases\r\x1b[K"


def test_writes_a_line_now_and_then_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with CaseCounter("checking") as counter:
        counter.show(1, 9)
        counter.shown -= 11
        counter.show(2, 9)
    assert capsys.readouterr().err == "checking: 2 of 9 cases\n"
