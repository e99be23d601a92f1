"""Names cannot act on a terminal, forge a line of the log or run a formula in a spreadsheet."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from segkit.cli import log_to_stderr, main
from segkit.errors import InputError, printable
from segkit.files.json_file import read_json
from segkit.report.tables import csv_text, text_table

TITLE = "\x1b]0;PWNED\x07\x1b[31mred"


def test_control_characters_and_turned_text_are_escaped() -> None:
    assert printable("a\x1b[31m\r\nb\x9b\u202ec") == r"a\u001b[31m\u000d\u000ab\u009b\u202ec"
    assert printable("a\x1bb\n\tc", lines=True) == "a\\u001bb\n\tc"
    assert printable("Größe 5 µm, 心臓") == "Größe 5 µm, 心臓"


def test_errors_name_the_file_in_one_line() -> None:
    error = InputError(f"{TITLE}\nsegkit: done.nii", expected="a", found="b", remedy="c.")
    assert str(error).splitlines() == [str(error)]
    assert "\x1b" not in str(error)


def test_log(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_stderr():
        logging.getLogger("segkit.x").info("model %s of %d", f"{TITLE}\nsegkit: verified", 3)
        logging.getLogger("segkit.x").warning("%s", f"{TITLE}\n  a second line")
    assert capsys.readouterr().err == (
        "model \\u001b]0;PWNED\\u0007\\u001b[31mred\\u000asegkit: verified of 3\n"
        "warning: \\u001b]0;PWNED\\u0007\\u001b[31mred\n  a second line\n"
    )


def test_tables() -> None:
    assert "\x1b" not in text_table(["name"], [[TITLE]])


@pytest.mark.parametrize("word", ["=1+1", "+SUM(1)", "-SUM(1)", "@SUM(1)", "\tx", "\rx"])
def test_formulas_are_quoted(word: str) -> None:
    assert csv_text([word, "b"], [[word, None]]).count(f"'{word}") == 2


def test_numbers_are_not() -> None:
    assert (
        csv_text(["a"], [["-0.5"], [-0.5], ["+3"], ["-inf"], [None]])
        == 'a\n-0.5\n-0.5\n+3\n-inf\n""\n'
    )


def test_closed_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--version"]) == 0
    sys.stdout.close()


class _FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_full_disk_behind_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _FullDisk())
    assert main(["--version"]) == 3
    assert "the system says: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["info"], ["check"], ["predict", "-m"], ["train"], ["export", "x.segkit"]]
)
@pytest.mark.parametrize("name", ["x" * 300, "y/" * 4000])
def test_long_paths(words: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, name, *(["scan.nii"] if words[0] == "predict" else [])]) in (2, 3)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "segkit: error: " in error


def test_files_that_may_never_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "plan.json")
    assert main(["info", str(tmp_path / "plan.json")]) == 3
    assert (
        "expected an ordinary file of at most 16777216 bytes, found a folder, pipe or device"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, "brackets nested too deeply"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "brackets nested too deeply"),
        ('{"format_version": ' + "9" * 5000 + "}", r"Exceeds the limit \(4300 digits\)"),
    ],
)
def test_json_beyond_measure(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=found):
        read_json(tmp_path / "a.json")


def test_info_of_another_format_names_those_that_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "brain.mgz").write_bytes(b"\x1f\x8b1234")
    assert main(["info", str(tmp_path / "brain.mgz")]) == 3
    assert (
        ".nii.gz .nii .nrrd .nhdr .mha .mhd .png .tif .tiff .bmp, found the suffix '.mgz'"
        in capsys.readouterr().err
    )
