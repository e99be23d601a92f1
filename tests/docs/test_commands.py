"""Every command, flag, override, make target, file and dotted name in the pages exists.

Commands are read by the real parsers and override checks; none is run.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from segkit.plugins import LOSSES, NETWORKS
from tools.command_lines import KEYS, commands, flags, override_problem, problem
from tools.pages import ROOT, Page, pages

# The changelog tells what was: its names may be gone.
PAGES = [page for page in pages() if page.name != "CHANGELOG.md"]
INCOMPLETE = ("the following arguments are required", "expected one argument")
"""Problems of a code span that names a verb and one flag only."""
OTHERS = {"--user", "--build-arg", "-R", "-rs", "-n", "--no-deps", "--all", "--check"}
"""Flags of other programs, and of the scripts in tools/."""
DOCKER = {
    "--rm",
    "--tmpfs",
    "--userns",
    "--gpus",
    "--device",
    "--shm-size",
    "--stop-timeout",
    "--no-healthcheck",
}
DOCKER |= {"--network", "--cpus", "--memory"}
SBATCH = {"--partition", "--time", "--gpus-per-node", "--cpus-per-task", "--mem"}
OWN_PARTS = {"network=plain", "trainer.loss=focal"}
"""Overrides with the names of docs/own_parts.md, whose package is not installed."""
SECTION = r"(?:dataset|network|plan|trainer|augment|compute)"
NO_KEYS = {"dataset.json", "dataset.yaml", "plan.json", "plan.label_values"}


def parametrized(test: object) -> object:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(test)


@parametrized
def test_commands_in_blocks_are_right(page: Page) -> None:
    wrong = {}
    for language, block in page.blocks:
        for words in commands(block) if language in ("", "bash") else ():
            message = problem([word for word in words if word not in OWN_PARTS])
            wrong |= {" ".join(words): message} if message else {}
    assert wrong == {}


@parametrized
def test_commands_in_prose_are_right(page: Page) -> None:
    wrong = {}
    for span in page.spans:
        for words in commands(span):
            message = problem(words)
            if message and not message.startswith(INCOMPLETE) and INCOMPLETE[1] not in message:
                wrong[span] = message
    assert wrong == {}


@parametrized
def test_overrides_in_prose_exist(page: Page) -> None:
    words = [shlex.split(span)[0] for span in page.spans if re.match(rf"'?{SECTION}\.\w+=", span)]
    assert [text for word in words if (text := override_problem(word))] == []
    keys = {span for span in page.spans if re.fullmatch(rf"{SECTION}\.\w+", span)}
    assert keys - KEYS - NO_KEYS == set()


@parametrized
def test_flags_in_prose_exist(page: Page) -> None:
    used = {re.split(r"[ =]", span)[0] for span in page.spans if re.match(r"--?[a-z]", span)}
    assert used - flags() - OTHERS - SBATCH - DOCKER == set()


@parametrized
def test_make_targets_exist(page: Page) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join([*page.spans, *(block for _, block in page.blocks)])
    used = set(re.findall(r"^make (?:[A-Z]+=\S+ )?([a-z][\w-]*)", code, re.MULTILINE))
    assert used - targets == set()


@parametrized
def test_files_of_the_repository_exist(page: Page) -> None:
    top = r"(?:segkit|tests|benchmarks|configs|tools|docs|docker|findings)"
    code = " ".join([*page.spans, *(block for _, block in page.blocks)])
    used = set(re.findall(rf"(?<![\w/.]){top}/[\w/.-]*\w\.(?:py|yaml|md|sh)\b", code))
    real = {name for name in used if "NAME" not in Path(name).stem}
    assert [name for name in sorted(real) if not (ROOT / name).exists()] == []


@parametrized
def test_flags_of_benchmarks_exist(page: Page) -> None:
    blocks = "\n".join(block for _, block in page.blocks)
    for script, rest in re.findall(r"(benchmarks/\w+\.py)(.*)", blocks):
        code = (ROOT / script).read_text(encoding="utf-8")
        used = re.findall(r"--[a-z-]+", rest.partition("#")[0])
        assert [flag for flag in used if f'"{flag}"' not in code] == []


@parametrized
def test_dotted_names_exist(page: Page) -> None:
    names = {name for span in page.spans for name in re.findall(r"\bsegkit(?:\.\w+)+", span)}
    missing = [name for name in sorted(names - {NETWORKS, LOSSES}) if not _exists(name)]
    assert missing == []


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predit scan.nii.gz", "no verb predit"),
        ("study crossvalidation DATASET", "no study crossvalidation"),
        ("train DATASET trainer.max_step=5", "no override trainer.max_step"),
        ("train DATASET trainer.max_steps=five", "trainer.max_steps must be"),
        ("train DATASET seed=0,1", "names several values"),
        ("study normalization DATASET study.seed=[0]", "unknown setting 'study.seed'"),
        ("predict scan.nii.gz --overlp 0.5", "unrecognized arguments: --overlp"),
        ("predict scan.nii.gz --threads 0", "argument --threads"),
        ("export MODEL", "the following arguments are required"),
    ],
)
def test_a_wrong_command_is_found(line: str, message: str) -> None:
    assert message in problem(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "predict scan.nii.gz --device cuda:1",
        "train DATASET trainer.max_steps=N 'dataset.labels={spleen:1,liver:5}'",
        "train --multirun DATASET seed=0,1 network.norm=group,instance",
        "study cross_validation DATASET [KEY=VALUE ...]",
        "study normalization DATASET study.seeds=[0,1] fold=N",
        "--help",
    ],
)
def test_a_right_command_passes(line: str) -> None:
    assert problem(shlex.split(line)) == ""
