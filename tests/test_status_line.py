"""The lines that count cases and scans."""

from __future__ import annotations

import pytest

from segkit.progress import CaseCounter, ScanProgress, StatusLine


def test_rewrites_one_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with CaseCounter("measuring") as counter:
        counter.shown = 0.0
        counter.show(1, 9, "patient name")
        counter.show(2, 9, "patient name")
    assert capsys.readouterr().err == "\r\x1b[Kmeasuring: 1 of 9 cases\r\x1b[K"


def test_wipes_the_line_before_other_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    StatusLine().wipe()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    line = StatusLine()
    line.write("one")
    line.wipe()
    assert capsys.readouterr().err == "\r\x1b[Kone\r\x1b[K"


def test_writes_a_line_now_and_then_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with CaseCounter("checking") as counter:
        counter.show(1, 9)
        counter.shown -= 11
        counter.show(2, 9)
    assert capsys.readouterr().err == "checking: 2 of 9 cases\n"


def test_the_time_left_follows_the_last_cases(capsys: pytest.CaptureFixture[str]) -> None:
    with CaseCounter("preparing") as counter:
        for done in range(1, 101):  # known already: they take no time
            counter.show(done, 200)
        for number in range(len(counter.times)):
            counter.times[number] -= 2.0 * (len(counter.times) - number)
        counter.shown -= 11
        counter.show(101, 200)
    assert capsys.readouterr().err == "preparing: 101 of 200 cases, about 3 min 18 s left\n"


def test_a_line_at_once_and_the_last_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = StatusLine(immediate=True)
    assert (line.due(), line.due()) == (True, False)
    line.write("one", last=True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    StatusLine().write("two", last=True)
    assert capsys.readouterr().err == "one\n\r\x1b[Ktwo\n"


def test_the_time_left_for_all_scans(capsys: pytest.CaptureFixture[str]) -> None:
    with ScanProgress(4) as progress:
        show = progress.of_scan(1)
        show(1, 2)
        progress.first_scan -= 90
        progress.shown -= 11
        show(1, 2)
    # 1.5 of 4 scans took 90 s, so 2.5 take 150 s.
    assert capsys.readouterr().err == "scan 2 of 4, 38% done, about 2 min 30 s left\n"


def test_as_log_every_line_goes_through_the_log(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(StatusLine, "as_log", True)
    with caplog.at_level("INFO"):
        StatusLine(immediate=True).write("step 1 of 2")
    assert capsys.readouterr().err == ""
    assert "step 1 of 2" in caplog.text
