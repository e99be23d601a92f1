"""Command of a study of cells: checks its words, runs it, prints its summary."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from segkit.commands.flags import Parser
from segkit.commands.train import key_lines
from segkit.commands.train_words import add_words, training_words
from segkit.config.compose import to_yaml
from segkit.config.schema import TrainConfig
from segkit.config.study_words import given_settings, setting_lines
from segkit.progress import CaseCounter
from segkit.studies.cells import CellResult, check_all_done
from segkit.studies.study_overrides import S, StudyKind

DETAILS = """\
{details}
settings of the study:
{settings}

overrides (KEY=VALUE), as for 'segkit train'; run_dir is the folder of the study:
{keys}
"""
FILES = (("report", "report.html"), ("numbers", "results.csv"), ("summary", "summary.json"))
"""Files that every such study writes, with what they are."""


@dataclass(frozen=True)
class CellStudyCommand(Generic[S]):
    """Command of one such study."""

    kind: StudyKind[S]
    study: Callable[..., tuple[Path, list[CellResult]]]
    """Function of `segkit.studies` that runs the study with words and ``progress=``."""
    description: str
    """Sentence on the study, for the help."""
    details: str
    """Text of the help, in front of settings and overrides."""
    size: Callable[[S], str]
    """Function that says in words how much there is to train."""
    lines: Callable[[dict[str, Any]], Sequence[str]]
    """Function from the content of summary.json to the lines that are printed."""
    cells: str = "cells"
    """Name of its cells in messages, in the plural."""

    def run(self, arguments: Sequence[str]) -> int:
        """Run the study, print its results and files, and return the exit code.

        Raises:
            SomeCasesFailed: some cells have no result; the others are done.
        """
        given = self.parser().parse_intermixed_args(arguments)
        words = training_words(given)
        # Everything is checked first: importing torch takes a second.
        overrides, settings, config = self.kind.read_words(words)
        if given.show:
            print("\n".join(given_settings(settings)))
            print(f"# {self.size(settings)}")
            print(_shown(self.kind, config, overrides), end="")
            return 0
        with CaseCounter("measuring") as counter:
            folder, results = self.study(*words, progress=counter.show)
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        files = [f"  {name:<8} {folder / file}" for name, file in FILES]
        print("\n".join([*self.lines(summary), "", *files]))
        check_all_done(folder, results, self.cells)
        return 0

    def parser(self) -> Parser:
        """Return the parser of its arguments."""
        parser = Parser(
            prog=f"segkit study {self.kind.name}",
            usage=f"segkit study {self.kind.name} DATASET [study.KEY=VALUE ...] [KEY=VALUE ...] "
            "[--config YAML] [--show]",
            description=self.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.make_epilog = self._epilog
        parser.settings = self.kind.settings
        add_words(parser)
        parser.add_argument(
            "--show", action="store_true", help="print settings and configuration, and exit"
        )
        return parser

    def _epilog(self) -> str:
        return DETAILS.format(
            details=self.details,
            settings=setting_lines(self.kind.settings),
            keys=key_lines(without=self.kind.set_by_study),
        )


def _shown(kind: StudyKind[Any], config: TrainConfig, overrides: Sequence[str]) -> str:
    """Return the configuration that all trainings share, without what the study sets itself."""
    own = f"The study sets {', '.join(kind.set_by_study)}. All trainings share:"
    comment = textwrap.fill(own, 100, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}\n{to_yaml(kind.trained(config, overrides), without=kind.set_by_study)}"
