"""Check a release: build the packages, install the wheel in an empty environment, list licenses.

    python tools/release_check.py        the packages go to dist/, with licenses.txt

Exit code 1 if the changelog lacks the version, the installed command does not work, or an
installed package has a license that forbids shipping it with segkit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
LICENSES = """
import json
from importlib.metadata import distributions
rows = {}
for package in distributions():
    meta = package.metadata
    classifiers = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or ()
                   if c.startswith("License ::")]
    text = meta.get("License-Expression") or ", ".join(classifiers) or meta.get("License") or ""
    rows[meta["Name"].lower()] = (meta["Version"], text.split("\\n")[0][:60] or "not stated")
print(json.dumps(rows))
"""
"""Program that prints name, version and license of all installed packages as JSON."""
STRONG = re.compile(r"(?<!L)\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)
"""Licenses that would extend to segkit itself; the LGPL does not."""


def is_strong(license_text: str) -> bool:
    """Return whether a license is the GPL or AGPL.

    >>> is_strong("GPL-3.0-or-later"), is_strong("LGPL-3.0"), is_strong("Apache-2.0")
    (True, False, False)
    """
    return STRONG.search(license_text) is not None


def check_version() -> str:
    """Return the version, and exit if the changelog has no heading for it."""
    text = (ROOT / "segkit" / "_version.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if version is None:
        sys.exit("segkit/_version.py has no version")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## [{version[1]}]" not in changelog:
        sys.exit(f"CHANGELOG.md has no heading for version {version[1]}")
    return version[1]


def build() -> Path:
    """Build wheel and sdist into dist/ and return the wheel."""
    for old in DIST.glob("segkit-*"):
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT))
    (wheel,) = DIST.glob("segkit-*.whl")
    return wheel


def check_installed(wheel: Path, version: str) -> dict[str, tuple[str, str]]:
    """Install the wheel into an empty environment, run its command, and return the licenses."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        commands = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
        python = str(commands / "python")
        constraints = str(ROOT / "constraints.txt")
        run(python, "-m", "pip", "install", "--quiet", "-c", constraints, str(wheel))
        run(python, "-m", "pip", "check")
        help_text = run(str(commands / "segkit"), "--help", cwd=folder)
        if "usage: segkit" not in help_text:
            sys.exit(f"segkit --help printed {help_text!r}")
        if (printed := run(str(commands / "segkit"), "--version", cwd=folder)).split()[
            -1
        ] != version:
            sys.exit(f"segkit --version printed {printed!r}, not {version}")
        rows: dict[str, tuple[str, str]] = json.loads(run(python, "-c", LICENSES, cwd=folder))
        return rows


def run(*words: str, cwd: str | Path = ROOT) -> str:
    """Run a program and return its output; exit if it fails."""
    # A PYTHONPATH of the caller would hide what is missing in the wheel.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=clean, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Run all checks and write the list of licenses."""
    version = check_version()
    wheel = build()
    licenses = check_installed(wheel, version)
    lines = [f"{name} {number}: {text}" for name, (number, text) in sorted(licenses.items())]
    (DIST / "licenses.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    if strong := [line for line in lines if is_strong(line)]:
        sys.exit(f"these licenses would oblige segkit: {', '.join(strong)}")
    print(f"segkit {version} is ready: {', '.join(sorted(path.name for path in DIST.iterdir()))}")


if __name__ == "__main__":
    main()
