"""The scripts behind `make release-check` and `make docs`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from segkit import __version__
from tools.pages import ROOT
from tools.release_check import check_version, is_strong


def test_the_changelog_has_the_version() -> None:
    assert check_version() == __version__


@pytest.mark.parametrize(
    ("license_text", "strong"),
    [
        ("GPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0", True),
        ("LGPL-3.0-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("Apache-2.0 AND MIT", False),
    ],
)
def test_licenses_that_would_oblige_segkit(license_text: str, strong: bool) -> None:
    assert is_strong(license_text) is strong


@pytest.mark.slow
def test_api_pages_load_nothing_from_the_network(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pages of the API need pdoc, of the extra [docs]")
    script = ROOT / "tools" / "api_pages.py"
    subprocess.run([sys.executable, script, tmp_path], cwd=ROOT, check=True)
    page = (tmp_path / "segkit.html").read_text(encoding="utf-8")
    assert "read_volume" in page
    assert "segkit/volume.html" in page
    assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page)


def test_hooks_run_what_make_lint_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2]
    lint = re.findall(r"\$\(BIN\)/(.+)", recipe.partition("\n\n")[0])
    entries = set(re.findall(r"entry: \.venv/bin/(.+)", hooks))
    assert entries == {command.removesuffix(" .") for command in lint}
