"""docs/licences.md has a line for each dependency, with the license that is installed."""

from __future__ import annotations

import json
import re
from email.message import Message
from importlib.metadata import PackageNotFoundError, files, requires

import pytest
from packaging.requirements import Requirement

from tools.licenses import (
    CORE,
    PAGE,
    ROOT,
    Row,
    installed_license,
    requirements,
    rows,
    stated_license,
    without_line,
)

TEXT = PAGE.read_text(encoding="utf-8")


def test_every_dependency_has_a_line_and_every_line_a_dependency() -> None:
    assert without_line(TEXT, requirements()) == []


@pytest.mark.parametrize("row", rows(TEXT), ids=lambda row: row.name)
def test_the_license_is_the_one_that_is_installed(row: Row) -> None:
    found = installed_license(row.name)
    if found is None:
        pytest.skip(f"{row.name} is not installed")
    assert row.license == found


def test_a_new_dependency_and_one_that_is_gone_are_found() -> None:
    wanted = [row for row in requirements() if row.name != "edt"]
    assert without_line(TEXT, [*wanted, Row("new", ">=1", CORE)]) == [
        "no line for new >=1 core",
        "a line for edt >=3.0 core, which is no dependency",
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT"), ("License", "no")], "MIT"),
        ([("License", "Apache License 2.0")], "Apache-2.0"),
        ([("License", "Copyright\n..."), ("Classifier", "License :: OSI :: BSD License")], "BSD"),
        ([], ""),
    ],
)
def test_license_of_metadata(fields: list[tuple[str, str]], expected: str) -> None:
    facts = Message()
    for name, value in fields:
        facts[name] = value
    assert stated_license(facts) == expected  # type: ignore[arg-type]


def closure(names: list[str]) -> set[str]:
    """Return the installed packages that these packages need, and themselves."""
    found: set[str] = set()
    while names:
        name = names.pop().lower().replace("_", "-")
        if name in found or installed_license(name) is None:
            continue
        found.add(name)
        needed = map(Requirement, requires(name) or [])
        names += [
            one.name for one in needed if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return found


def test_no_other_package_of_the_core_is_under_the_lgpl_or_gpl() -> None:
    core = [row.name for row in requirements() if row.extra == CORE]
    copyleft = {name for name in closure(core) if "GPL" in str(installed_license(name)).upper()}
    assert copyleft == {"connected-components-3d", "edt"}
    assert all(f"| `{name}` | LGPL" in TEXT for name in copyleft)


def test_the_viewer_is_the_one_that_the_page_names() -> None:
    viewer = json.loads((ROOT / "segkit/report/niivue/niivue.json").read_text())
    assert f"`NiiVue` {viewer['version']} (BSD-2-Clause)" in TEXT


@pytest.mark.parametrize(
    ("package", "library"),
    [
        *(("numpy", "libquadmath"), ("scipy", "libquadmath")),
        *(("numpy", "libgfortran"), ("scipy", "libgfortran"), ("torch", "libgomp")),
    ],
)
def test_libraries_of_gcc_are_where_the_page_says(package: str, library: str) -> None:
    try:
        names = [str(path) for path in files(package) or []]
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if not any(re.search(r"\.libs/|^torch/lib/.*\.so", name) for name in names):
        pytest.skip(f"this build of {package} brings no libraries")
    assert any(library in name for name in names)
    assert "| `libquadmath` | LGPL-2.1-or-later |" in TEXT
    (sentence,) = re.findall(r"`libgfortran` \(.*?GCC-exception", TEXT, re.DOTALL)
    assert library == "libquadmath" or {f"`{library}`", f"`{package}`"} <= set(
        re.findall(r"`\w+`", sentence)
    )
