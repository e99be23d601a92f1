"""Predict large CTs of 14 labels as fast as possible: how much time do a newer build, less overlap
of windows, a pruned network and OpenVINO save, each alone and together, and at what cost in Dice?

    python benchmarks/fast_ct.py FOLDER --old CHECKOUT [--threads 2] [--minutes 15]
        [--budgets latency=0.5] [--prune-minutes 12] [--longer-minutes 0] [--overlaps auto]
        [--rounds 1] [--tests 2] [--training 24]
        [--until data|train|prune|longer|predict] [--train KEY=VALUE ...]

Phantoms (`benchmarks/ct_phantom.py`) are written, `segkit train` trains the dense model in the
minutes given, and `segkit prune` prunes it once for each budget. With --longer-minutes, the dense
and every pruned model are trained on for as long, so that the pruned ones have not just been
trained for longer than the dense one; these are the models that predict. Then whole commands of
`segkit predict` take turns on the test scans, from the start of the process to its end; "today" is
the dense model, predicted by the build in CHECKOUT. Dice is that against the phantom's labels, on
scans that no model was trained on. Memory: PSS of the process tree, sampled.

Finished parts are kept in FOLDER: the same command continues an interrupted one, and --until stops
after a part. Print a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from ct_phantom import LABELS, write_ct_phantoms
from processes import run_measured, shared_out_memory

from segkit.bundle.card import open_card
from segkit.bundle.overlap_dice import choose_overlap
from segkit.io import read_volume

NEW = Path(__file__).resolve().parents[1]
PARTS = ("data", "train", "prune", "longer", "predict")
TODAY = "today"


@dataclass(frozen=True)
class Arm:
    """Way to predict the test scans."""

    name: str
    build: Path
    model: Path
    flags: tuple[str, ...]


def main() -> None:
    """Do what is missing and print the table."""
    given = _parser().parse_args()
    os.environ.update(OMP_NUM_THREADS=str(given.threads), PYTHONWARNINGS="ignore")
    for build in (NEW, given.old):
        _check_build(build)
    wanted = PARTS[: PARTS.index(given.until) + 1]
    print("data", file=sys.stderr, flush=True)
    write_ct_phantoms(given.folder / "data", tuple(given.shape), given.training, given.tests)
    if "train" in wanted:
        _train(given)
    if "prune" in wanted:
        for budget in given.budgets:
            _prune(given, budget)
    if "longer" in wanted and given.longer_minutes:
        for model in (_dense(given), *(_pruned(given, budget) for budget in given.budgets)):
            _train_on(given, model)
    if "predict" in wanted:
        rows = _predict(given)
        print(_table(given, rows), _label_table(given, rows), _overlaps(given), sep="\n\n")


def _check_build(build: Path) -> None:
    """End the program unless PYTHONPATH decides which segkit is imported."""
    code = "import segkit; print(segkit.__file__)"
    found = subprocess.run(
        [*_python(build), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_relative_to(build.resolve()):
        raise SystemExit(f"{build}: expected a checkout of segkit, but {found} was imported")
    # Compiled beforehand, so that the first command of a build is no slower than the second.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(build / "segkit")], check=True)


def _python(build: Path) -> list[str]:
    # PYTHONSAFEPATH: the current folder may be another checkout, and would come first.
    return ["env", f"PYTHONPATH={build.resolve()}", "PYTHONSAFEPATH=1", sys.executable]


def _call(*words: str) -> None:
    print("segkit", *words, file=sys.stderr, flush=True)
    done = subprocess.run([*_python(NEW), "-m", "segkit", *words], stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"segkit {words[0]}: exit {done.returncode}")


def _train(given: argparse.Namespace) -> None:
    _call_train(given, _dense(given), given.minutes, *given.train)


def _train_on(given: argparse.Namespace, model: Path) -> None:
    _call_train(given, _longer(model), given.longer_minutes, f"weights={model}")


def _call_train(given: argparse.Namespace, run_dir: Path, minutes: float, *words: str) -> None:
    """Train a model, unless it is finished; an interrupted training goes on."""
    if (run_dir / "finished.json").exists():
        return
    limits = [f"trainer.max_minutes={minutes}", f"trainer.threads={given.threads}"]
    resume = ["--resume"] if run_dir.exists() else []
    data = f"dataset={given.folder / 'data'}"
    _call("train", data, f"run_dir={run_dir}", *limits, *words, *resume)


def _prune(given: argparse.Namespace, budget: str) -> None:
    words = [f"dataset={given.folder / 'data'}", f"run_dir={_pruned(given, budget)}"]
    minutes = f"trainer.max_minutes={given.prune_minutes}"
    _call("prune", str(_dense(given)), *words, f"budget.{budget}", minutes)


def _dense(given: argparse.Namespace) -> Path:
    return Path(given.folder / "dense")


def _longer(model: Path) -> Path:
    return model.with_name(f"{model.name}_longer")


def _pruned(given: argparse.Namespace, budget: str) -> Path:
    return Path(given.folder / f"pruned_{budget.replace('=', '_')}")


def _arms(given: argparse.Namespace) -> Iterator[Arm]:
    """Yield every way to predict: each change alone, then together."""
    final = _longer if given.longer_minutes else Path
    dense = final(_dense(given))
    yield Arm(TODAY, given.old, dense, ())
    yield Arm("new build", NEW, dense, ())
    yield from _faster(given, "", dense)
    for budget in given.budgets:
        name, model = f"pruned {budget}", final(_pruned(given, budget))
        yield Arm(name, NEW, model, ())
        yield from _faster(given, f"{name}, ", model)


def _faster(given: argparse.Namespace, prefix: str, model: Path) -> Iterator[Arm]:
    """Yield the ways to predict a model faster: other overlaps, OpenVINO, and both."""
    engine = ("--engine", "openvino")
    openvino = find_spec("openvino") is not None
    if openvino:
        yield Arm(f"{prefix}openvino", NEW, model, engine)
    for overlap in given.overlaps:
        flags = ("--overlap", overlap)
        yield Arm(f"{prefix}overlap {overlap}", NEW, model, flags)
        if openvino:
            yield Arm(f"{prefix}overlap {overlap}, openvino", NEW, model, (*flags, *engine))


def _predict(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the commands that are missing, in turns, and return a row for each."""
    file = given.folder / "predictions.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    scans = sorted((given.folder / "data" / "imagesTs").glob("*.nii.gz"))[: given.tests]
    done = {(row["round"], row["scan"], row["arm"]) for row in rows}
    for turn in range(given.rounds):
        for scan in scans:
            for arm in _arms(given):
                if (turn, scan.name, arm.name) not in done:
                    rows.append(_measured(given, arm, scan, turn))
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(rows[-1]) + "\n")
    return rows


def _measured(given: argparse.Namespace, arm: Arm, scan: Path, turn: int) -> dict[str, Any]:
    print(f"round {turn + 1}: {arm.name}, {scan.name}", file=sys.stderr, flush=True)
    out = given.folder / "predicted" / arm.name.replace(" ", "_") / scan.name
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [*_python(arm.build), "-m", "segkit", "predict", str(scan), "-o", str(out)]
    command += ["-m", str(arm.model), "--device", "cpu", "--threads", str(given.threads)]
    command += ["--overwrite", *arm.flags]
    # Two samples a second: a sample costs CPU time.
    run = run_measured(command, shared_out_memory, per_second=2)
    if run.code:
        raise SystemExit(f"{' '.join(command)}: exit {run.code}: {run.said}")
    dice = _dice(out, scan.parents[1] / "labelsTs" / scan.name)
    return {"arm": arm.name, "scan": scan.name, "round": turn, "dice": dice, **asdict(run)}


def _dice(predicted: Path, truth: Path) -> dict[str, float]:
    """Return the Dice of every label; those in neither map are left out."""
    first, second = (
        read_volume(path).array.ravel().astype(np.uint8) for path in (predicted, truth)
    )
    edges = len(LABELS) + 1
    pairs = np.zeros((edges, edges), np.int64)
    for start in range(0, first.size, 1 << 22):
        part = slice(start, start + (1 << 22))
        codes = first[part].astype(np.intp) * edges + second[part]
        pairs += np.bincount(codes, minlength=edges**2).reshape(edges, edges)
    sizes = pairs.sum(0) + pairs.sum(1)
    return {name: 2 * pairs[i, i] / sizes[i] for name, i in LABELS.items() if sizes[i]}


def _table(given: argparse.Namespace, rows: list[dict[str, Any]]) -> str:
    lines = [
        "| | seconds a scan | to today | CPU seconds | to today | GiB | Dice | minus today's |",
        "| --- " * 8 + "|",
    ]
    today = _figures(rows, TODAY)
    for arm in _arms(given):
        seconds, cpu, gib, dice = _figures(rows, arm.name)
        lines.append(
            f"| {arm.name} | {seconds:.1f} | {seconds / today[0]:.2f} | {cpu:.0f} |"
            f" {cpu / today[1]:.2f} | {gib:.2f} | {dice:.4f} | {dice - today[3]:+.4f} |"
        )
    return "\n".join(lines)


def _figures(rows: list[dict[str, Any]], arm: str) -> tuple[float, float, float, float]:
    """Return wall and CPU seconds of a scan, peak GiB and mean Dice."""
    mine = [row for row in rows if row["arm"] == arm]
    scans = sorted({row["scan"] for row in mine})
    by_scan = [[row for row in mine if row["scan"] == scan] for scan in scans]
    wall, cpu = (
        mean(median(r[key] for r in turns) for turns in by_scan) for key in ("seconds", "cpu")
    )
    gib = max(row["peaks"][0] for row in mine) / 2**30
    return wall, cpu, gib, mean(mean(turns[0]["dice"].values()) for turns in by_scan)


def _label_table(given: argparse.Namespace, rows: list[dict[str, Any]]) -> str:
    arms = [arm.name for arm in _arms(given)]
    lines = ["| label | " + " | ".join(arms) + " |", "| --- " * (1 + len(arms)) + "|"]
    for label in LABELS:
        values = [
            [row["dice"][label] for row in rows if row["arm"] == arm and label in row["dice"]]
            for arm in arms
        ]
        cells = [f"{mean(found):.4f}" if found else "-" for found in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _overlaps(given: argparse.Namespace) -> str:
    """Return the overlap that --overlap auto takes with each model, and why."""
    lines = []
    for model in dict.fromkeys(arm.model for arm in _arms(given)):
        overlap, reason = choose_overlap([open_card(model).card])
        lines.append(f"{model.name}: --overlap auto takes {overlap:g}: {reason}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--old", type=Path, required=True, help="checkout of the build to beat")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--training", type=int, default=24, help="training cases")
    parser.add_argument("--tests", type=int, default=2, help="test scans")
    parser.add_argument("--minutes", type=float, default=15, help="of the training")
    parser.add_argument("--budgets", nargs="*", default=["latency=0.5"])
    parser.add_argument("--overlaps", nargs="+", default=["auto"], help="such as auto 0.25 0")
    parser.add_argument("--prune-minutes", type=float, default=12, help="for each budget")
    parser.add_argument("--longer-minutes", type=float, default=0, help="for each model")
    parser.add_argument("--train", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--until", choices=PARTS, default=PARTS[-1])
    return parser


if __name__ == "__main__":
    main()
