"""An examination as JSON. The keys are documented in docs/doctor.md, and are always all there."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from segkit._version import __version__
from segkit.doctor.examine import Examination
from segkit.doctor.models import FoundModel
from segkit.machine.folders import Folder
from segkit.machine.memory import Memory

if TYPE_CHECKING:
    from segkit.inference.scan_cost import ScanCost

FORMAT_VERSION = 1


def summary(examined: Examination) -> dict[str, Any]:
    """Return the examination in JSON types: sizes in bytes, null for what is unknown."""
    facts = examined.facts
    return {
        "format_version": FORMAT_VERSION,
        "can_predict": examined.can_predict,
        "quick": examined.quick,
        "problems": [asdict(problem) for problem in examined.problems],
        "command": examined.command or None,
        "versions": _versions(examined),
        "processor": {
            **asdict(facts.processor),
            "usable": facts.processor.usable,
            "threads": facts.threads,
        },
        "memory": _memory(facts.memory),
        "gpu": {
            **asdict(facts.driver),
            "version": facts.driver.version or None,
            "seen_by_torch": examined.gpus if examined.imports else None,
        },
        "shared_memory": folder_summary(facts.shared_memory) if facts.shared_memory else None,
        "folders": {role: folder_summary(folder) for role, folder in facts.folders.items()},
        "root_is_read_only": facts.root_is_read_only,
        "user": {"has_entry": facts.account.has_entry, "is_named": facts.account.is_named},
        "clock_seconds_behind": round(facts.seconds_behind),
        "models": [
            model_summary(model, cost)
            for model, cost in zip(examined.models, examined.costs, strict=True)
        ],
    }


def _versions(examined: Examination) -> dict[str, Any]:
    facts, installed = examined.facts, examined.packages
    return {
        "segkit": __version__,
        "python": facts.python,
        "system": facts.system,
        "torch": asdict(installed.torch) if installed.torch else None,
        "packages": _or_null(installed.required),
        "import_errors": _import_errors(examined),
        "extras": {name: _or_null(extra) for name, extra in installed.extras.items()},
    }


def _memory(memory: Memory) -> dict[str, int | None]:
    limit = memory.limit
    return {
        "total": memory.total,
        "available": memory.available,
        "free": memory.free,
        "swap": memory.swap,
        "limit": limit.limit if limit else None,
        "limit_free": limit.free if limit else None,
        "address_space": memory.address_space,
    }


def _or_null(versions: dict[str, str]) -> dict[str, str | None]:
    return {name: version or None for name, version in versions.items()}


def folder_summary(folder: Folder) -> dict[str, Any]:
    """Return one folder in JSON types; "problem" is why it cannot be written."""
    return {**asdict(folder), "problem": folder.problem or None}


def _import_errors(examined: Examination) -> dict[str, str] | None:
    """Return why packages cannot be imported; None if they were not tried."""
    if examined.imports is None:
        return None
    return {name: error for name, error in examined.imports.errors.items() if error}


def model_summary(model: FoundModel, cost: ScanCost | None) -> dict[str, Any]:
    """Return one model in JSON types."""
    return {
        "name": model.name,
        "is_default": model.is_default,
        "is_ok": model.problem is None,
        "weights_are_hashed": model.are_hashed,
        "scan": asdict(cost) if cost else None,
        "members": [
            {
                "hash": card.hash,
                "labels": list(card.plan.labels),
                "bytes": sum(
                    card.card["files"][name]["bytes"] for name in card.card["weights"].values()
                ),
            }
            for card in model.cards
        ],
    }
