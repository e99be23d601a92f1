"""An examination as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from segkit._version import __version__
from segkit.doctor.examine import Examination
from segkit.doctor.facts import Facts
from segkit.doctor.models import FoundModel
from segkit.doctor.packages import Packages
from segkit.machine.folders import Folder
from segkit.report.tables import text_table
from segkit.units import size_text

if TYPE_CHECKING:
    from segkit.inference.scan_cost import ScanCost


def as_text(examined: Examination) -> str:
    """Return facts, problems, and the verdict with a command."""
    rows = [*_fact_rows(examined), *_model_rows(examined)]
    lines = [text_table(["fact", "here"], rows), ""]
    lines += [f"{problem.severity}: {problem.text}" for problem in examined.problems]
    return "\n".join([*lines, *([""] if examined.problems else []), _verdict(examined)])


def _verdict(examined: Examination) -> str:
    if examined.can_predict:
        return f"This machine can predict: {examined.command}"
    count = sum(problem.severity == "error" for problem in examined.problems)
    noun = "the error" if count == 1 else f"the {count} errors"
    return f"This machine cannot predict until {noun} above {'is' if count == 1 else 'are'} fixed."


def _fact_rows(examined: Examination) -> Iterator[list[str]]:
    facts, installed = examined.facts, examined.packages
    yield ["versions", f"segkit {__version__}, Python {facts.python}, {facts.system}"]
    yield ["PyTorch", torch_text(installed)]
    yield ["extras", ", ".join(_extras(installed)) or "none"]
    yield ["processor", processor_text(facts)]
    yield ["memory", memory_text(facts)]
    yield ["GPU", gpu_text(facts)]
    for gpu in examined.gpus:
        if gpu["free"] is not None:
            memory = f"{size_text(gpu['free'])} free of {size_text(gpu['total'])}"
            yield [f"GPU {gpu['name']}", memory]
    for role, folder in facts.folders.items():
        name = role.replace("_", " ")
        yield [f"folder {name}", folder_text(folder, written=not role.startswith("models"))]
    if facts.shared_memory:
        yield ["shared memory", folder_text(facts.shared_memory, written=True)]


def torch_text(installed: Packages) -> str:
    """Return version and kind of the build of PyTorch."""
    if installed.torch is None:
        return "not installed"
    kind = f"for CUDA {installed.torch.cuda}" if installed.torch.cuda else "for CPUs"
    if installed.torch.hip:
        kind = f"for ROCm {installed.torch.hip}"
    return f"{installed.torch.version}, built {kind}"


def _extras(installed: Packages) -> Iterator[str]:
    for extra, versions in installed.extras.items():
        if all(versions.values()):
            yield extra
        elif any(versions.values()):
            yield f"{extra} in part"


def processor_text(facts: Facts) -> str:
    """Return model, cores and instructions of the processor."""
    cpu = facts.processor
    quota = "" if cpu.quota is None else f", {cpu.quota:g} at the same time"
    names = "unknown instructions" if cpu.instructions is None else ", ".join(cpu.instructions)
    return f"{cpu.model}, {cpu.allowed} of {cpu.cores} cores{quota}; {names or 'no fast'}"


def memory_text(facts: Facts) -> str:
    """Return free, total and limited memory."""
    memory = facts.memory
    if memory.free is None or memory.total is None:
        return "unknown"
    limit = f", limited to {size_text(memory.limit.limit)}" if memory.limit else ""
    swap = "" if not memory.swap else f", {size_text(memory.swap)} of swap"
    return f"{size_text(memory.free)} free of {size_text(memory.total)}{limit}{swap}"


def gpu_text(facts: Facts) -> str:
    """Return driver and models of the GPUs."""
    driver = facts.driver
    if not driver.version:
        return "a driver of unknown version" if driver.devices else "no NVIDIA driver"
    models = ", ".join(driver.gpus) or "no GPU"
    return f"driver {driver.version}, {models}; {driver.devices} can be used here"


def folder_text(folder: Folder, *, written: bool) -> str:
    """Return whether a folder can be used, and the free space of its disk."""
    free = "" if folder.free is None else f", {size_text(folder.free)} free"
    if not written:
        return "there" if folder.readable else "missing or not readable"
    if folder.problem:
        return f"cannot be written: {folder.problem}"
    return f"can be {'written' if folder.exists else 'made'}{free}"


def _model_rows(examined: Examination) -> Iterator[list[str]]:
    for model, cost in zip(examined.models, examined.costs, strict=True):
        yield [f"model {model.name}", model_text(model)]
        if cost:
            yield ["", cost_text(cost)]


def cost_text(cost: ScanCost) -> str:
    """Return the memory and the time of a scan as large as the largest of the training."""
    size = " x ".join(map(str, cost.shape))
    return (
        f"a scan of {size} voxels takes {size_text(cost.memory)} of memory"
        f" (at least {size_text(cost.least_memory)}) and about {time_text(cost.seconds)}"
        f" on {cost.device} in {cost.precision}"
    )


def time_text(seconds: float) -> str:
    """Return a time in seconds or minutes.

    >>> time_text(0.2), time_text(59), time_text(150)
    ('1 s', '59 s', '2.5 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def model_text(model: FoundModel) -> str:
    """Return hash, labels and state of a model."""
    if model.problem:
        return "cannot be used"
    hashes = ", ".join(card.hash for card in model.cards)
    state = "weights as recorded" if model.are_hashed else "complete, weights not read"
    default = " (taken without -m)" if model.is_default else ""
    return f"{hashes}{default}: {state}; {', '.join(model.cards[0].plan.labels)}"
