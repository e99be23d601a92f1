"""Write the generated parts of docs/reference.md: verbs, flags, overrides and choices.

    python tools/reference.py            write them
    python tools/reference.py --check    exit code 1 if the page is out of date

The parsers of the verbs, the dataclasses of the configuration and its rules are the source. Output
files and exit codes are written by hand; tests compare them with real runs and with the code.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from segkit.cli import VERBS  # noqa: E402
from segkit.config.choices import own_choices  # noqa: E402
from segkit.config.keys import get, known_keys  # noqa: E402
from segkit.config.overrides import GROUPS, PATHS, PRESET  # noqa: E402
from segkit.config.rules import CHECKS  # noqa: E402
from segkit.config.schema import TrainConfig  # noqa: E402
from segkit.config.study_words import setting_rows  # noqa: E402
from tools.command_lines import NAMES, parser_of  # noqa: E402

PAGE = ROOT / "docs" / "reference.md"
SCHEMA = ROOT / "segkit" / "config" / "schema.py"
MARKS = re.compile(r"(<!-- generated -->\n).*?(<!-- end -->)", re.DOTALL)
"""Generated parts of the page: verbs, overrides and choices, in this order."""
SHORT_NAMES = {full: short for short, full in PATHS.items() if short != full}
"""Full dotted key -> its short form, such as dataset.path -> dataset."""


def verbs() -> str:
    """Return a section for each verb and study: its description, arguments and flags."""
    rows = [f"| [`segkit {verb}`](#segkit-{verb}) | {text} |" for verb, (text, _) in VERBS.items()]
    parts = ["\n".join(["| verb | what it does |", "| --- | --- |", *rows])]
    for verb in VERBS:
        if verb not in NAMES:
            parts.append(_section(f"segkit {verb}", parser_of(verb)))
            continue
        parts.append(_heading(f"segkit {verb}", _USAGES[verb]))
        parts += [_section(f"segkit {verb} {name}", parser_of(verb, name)) for name in NAMES[verb]]
    return "\n\n".join(parts) + "\n"


_USAGES = {
    "study": "segkit study NAME DATASET [KEY=VALUE ...]",
    "harmonize": "segkit harmonize ACTION [...]",
    "run-as": "segkit run-as PLATFORM [...]",
}


def _heading(title: str, usage: str) -> str:
    return f"### {title}\n\n```text\n{usage}\n```"


def _section(title: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if action.dest != "help"]
    usage = parser.usage or " ".join([title, *map(_short, actions)])
    usage = usage if len(usage) < 95 else f"{title} {' '.join(_positional(actions))} [FLAG ...]"
    description = textwrap.fill(" ".join((parser.description or "").split()), 100)
    return "\n\n".join([_heading(title, usage), description, *_tables(parser), *_settings(parser)])


def _settings(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a table of the study's own settings, if it has some."""
    settings = getattr(parser, "settings", None)
    if settings:
        rows = [
            f"| `{name}` | `{default}` | {_cell(allowed)} | {_cell(text)} |"
            for name, default, allowed, text in setting_rows(settings)
        ]
        header = ["| setting | default | allowed values | meaning |", "| --- | --- | --- | --- |"]
        yield "\n".join([*header, *rows])


def _tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a table for each group of arguments that is not empty."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        rows = [f"| {_names(action)} | {_cell(action.help or '')} |" for action in actions]
        title = {"positional arguments": "argument", "options": "flag"}.get(
            str(group.title), str(group.title)
        )
        if rows:
            yield "\n".join([f"| {title} | meaning |", "| --- | --- |", *rows])


def _positional(actions: Sequence[argparse.Action]) -> Iterator[str]:
    for action in actions:
        if not action.option_strings:
            form = {"*": "[{} ...]", "?": "[{}]"}.get(str(action.nargs), "{}")
            yield form.format(action.metavar)


def _short(action: argparse.Action) -> str:
    if not action.option_strings:
        return next(_positional([action]))
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return f"[{action.option_strings[0]}{value}]"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_cell(str(action.metavar))}`"
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(f"`{_cell(name + value)}`" for name in action.option_strings)


def overrides() -> str:
    """Return the table of all overrides: default, allowed values, meaning."""
    meanings = setting_docstrings()
    rows = []
    for key in known_keys():
        short = SHORT_NAMES.get(key) or key.removesuffix(".name")
        words = f"`{short}`" + (f", `{key}`" if key in SHORT_NAMES else "")
        default = get(TrainConfig(), key)
        rows.append(
            f"| {words} | {_default(default)} | {_cell(may_be(key, default))} |"
            f" {_cell(meanings.get(key, ''))} |"
        )
    header = ["| override | default | may be | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*header, *rows]) + "\n"


def may_be(key: str, default: Any) -> str:
    """Return the values that a setting accepts, as text."""
    if key in CHECKS:
        return CHECKS[key][1]
    group = key.removesuffix(".name")
    if group in (*GROUPS, PRESET):
        names = ", ".join(f"`{name}`" for name in own_choices(group))
        return f"{names}, or one of an installed package" if group == "network" else names
    if isinstance(default, bool):
        return "true or false"
    return "a model: path or name" if key == "weights" else "a path"


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
    return f"`{text}`"


def setting_docstrings() -> dict[str, str]:
    """Return the docstring below each field of the configuration, by dotted key."""
    classes = {
        node.name: node
        for node in ast.parse(SCHEMA.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    return dict(_docstrings(classes, "TrainConfig", ""))


def _docstrings(
    classes: dict[str, ast.ClassDef], name: str, prefix: str
) -> Iterator[tuple[str, str]]:
    body = classes[name].body
    for field, follower in zip(body, [*body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign):
            continue
        key, kind = prefix + ast.unparse(field.target), ast.unparse(field.annotation)
        if kind in classes:
            yield from _docstrings(classes, kind, f"{key}.")
        elif isinstance(follower, ast.Expr) and isinstance(follower.value, ast.Constant):
            yield key, str(follower.value.value)


def choices() -> str:
    """Return the table of settings that are chosen by name, and the files with the choices."""
    rows = [
        f"| `{group}=` | {', '.join(f'`{name}`' for name in own_choices(group))} |"
        f" `configs/{group}/NAME.yaml` |"
        for group in (*GROUPS, PRESET)
    ]
    return "\n".join(["| override | choices | file |", "| --- | --- | --- |", *rows]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("%%", "%").split()).replace("|", "\\|")


def rendered(page: str) -> str:
    """Return the page with its generated parts updated."""
    parts = iter([verbs(), overrides(), choices()])
    return MARKS.sub(lambda mark: f"{mark[1]}\n{next(parts)}\n{mark[2]}", page)


def files_without_row(folder: Path, section: str) -> list[str]:
    """Return the files below ``folder`` that the tables of a section of the page do not name.

    Args:
        folder: output folder of a command.
        section: heading of the section, such as "Files of a run". A name in the first column is a
            pattern relative to the folder: ``bundle/weights/fold_*.safetensors``.
    """
    page = PAGE.read_text(encoding="utf-8")
    text = re.split(r"^##", page.partition(f"### {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    patterns = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(
        file
        for file in files
        if not any(fnmatch(file, f"{name}*" if name.endswith("/") else name) for name in patterns)
    )


def main() -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    new = rendered(page)
    if given.check:
        print("up to date" if new == page else "out of date: run `make reference`")
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
