"""The command line: verbs, exit codes, log, and imports at its start."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import segkit
from segkit import cli
from segkit.errors import (
    InputError,
    Interrupted,
    OutOfMemoryError,
    SomeCasesFailed,
    UsageError,
    is_out_of_memory,
)

IMPORTED = (
    "import sys, segkit.cli; code = segkit.cli.main(sys.argv[1:]); print(*sys.modules, "
    "file=sys.stderr)"
)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that adds a verb ``probe``, whose run() executes the given lines."""

    def make(body: str) -> None:
        (tmp_path / "probe_verb.py").write_text(f"def run(arguments):\n    {body}\n    return 0\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "probe_verb", raising=False)
        monkeypatch.setitem(cli.VERBS, "probe", ("", "probe_verb"))

    return make


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in cli.VERBS)


def test_no_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: segkit VERB" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"segkit {segkit.__version__}\n"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trian", "unknown verb 'trian'. Did you mean train?"),
        ("xyz", "unknown verb 'xyz'. Verbs: demo, check, plan"),
        ("--versoin", "unknown option '--versoin'"),
    ],
)
def test_unknown_verb(word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 2
    assert f"segkit: error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    assert f"usage: segkit {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_refuses_an_unknown_flag(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--no-such-flag"]) == 2
    assert f"segkit {verb}: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("what"), 2),
        (InputError("scan.nii", expected="a", found="b", remedy="c."), 3),
        (OutOfMemoryError("what"), 4),
        (SomeCasesFailed("what"), 5),
    ],
)
def test_error_becomes_exit_code(
    error: Exception, code: int, verb: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb("raise arguments[0]")
    assert cli.main(["probe", error]) == code  # type: ignore[list-item]
    assert capsys.readouterr().err == f"segkit: error: {error}\n"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("raise MemoryError('3 GB')", 4, "segkit: error: out of memory (3 GB). Free memory"),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', 4, "save_memory"),
        ("raise KeyboardInterrupt", 130, "segkit: stopped"),
        ("raise ZeroDivisionError('x')", 1, "this is a bug in segkit"),
        ("raise SystemExit(2)", 2, ""),
        ("raise SystemExit('no')", 1, "no"),
        ("return 5", 5, ""),
    ],
)
def test_other_ends(
    body: str,
    code: int,
    message: str,
    verb: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb(body)
    assert cli.main(["probe"]) == code
    err = capsys.readouterr().err
    assert message in err
    assert ("Traceback" in err) == (code == 1 and "Zero" in body)


def test_torch_out_of_memory_is_known_by_name() -> None:
    error = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_a_signal_is_not_called_an_error(
    verb: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb("raise arguments[0]")
    stop = Interrupted("stopped at step 3", 15)
    assert cli.main(["probe", stop]) == 143  # type: ignore[list-item]
    assert capsys.readouterr().err == "segkit: stopped at step 3\n"


def test_log_and_warnings_go_to_stderr(
    verb: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(
        "import logging; log = logging.getLogger('segkit.x'); log.info('plain'); log.warning('odd')"
    )
    cli.main(["probe"])
    assert capsys.readouterr().err == "plain\nwarning: odd\n"
    assert logging.getLogger("segkit").level == logging.NOTSET


def test_python_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with cli.log_to_stderr():
            warnings.warn("beware", UserWarning, stacklevel=1)
    assert "UserWarning: beware" in capsys.readouterr().err


def test_json_log(verb: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    verb("import logging; logging.getLogger('segkit.x').info('räume %d', 3); raise MemoryError")
    assert cli.main(["probe", "--json-log"]) == 4
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "segkit.x", "räume 3")
    assert second["exit_code"] == 4


def test_json_log_of_a_bug_is_one_line(
    verb: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb("1 / 0")
    assert cli.main(["--json-log", "probe"]) == 1
    assert "ZeroDivisionError" in json.loads(capsys.readouterr().err)["message"]


def test_json_log_carries_the_trace_of_an_exception() -> None:
    record = logging.LogRecord(
        "segkit", logging.ERROR, "", 0, "failed", None, (ValueError, ValueError("why"), None)
    )
    assert "ValueError: why" in json.loads(cli.JsonLines().format(record))["message"]


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_imports_nothing_heavy(word: str) -> None:
    modules = _run(IMPORTED, word).stderr.split()
    assert "segkit.cli" in modules
    assert not {"torch", "hydra", "numpy", "yaml", "scipy", "nibabel"} & set(modules)


@pytest.mark.parametrize(
    "words",
    [
        *(("train", "--help"), ("plan", "--help"), ("evaluate", "--help"), ("predict", "--help")),
        ("predict", "--overlap", "2"),
        ("info", str(Path(__file__).parent / "data" / "bundle_v1")),
        ("models",),
    ],
)
def test_what_needs_no_network_starts_without_torch(words: tuple[str, ...]) -> None:
    modules = _run(IMPORTED, *words).stderr.split()
    assert cli.VERBS[words[0]][1] in modules
    assert "torch" not in modules


def test_help_starts_fast() -> None:
    # CPU time since the start of the interpreter; the wall clock would include other programs.
    code = (
        "import sys, time, segkit.cli as cli; cli.main(['--help']); print(time.process_time(), "
        "file=sys.stderr)"
    )
    assert min(float(_run(code).stderr) for _ in range(3)) < 0.2


def test_closed_pipe_is_quiet() -> None:
    code = "import sys, segkit.cli; sys.exit(segkit.cli.main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == cli.PIPE_CLOSED
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_how_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def after_main(**given: str) -> tuple[str | None, str | None]:
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        cli.main(["--version"])
        return os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")

    assert after_main() == ("PASSIVE", "10000")
    assert after_main(GOMP_SPINCOUNT="7") == ("PASSIVE", "7")
    assert after_main(OMP_WAIT_POLICY="ACTIVE") == ("ACTIVE", None)
