"""Import packages in a process of their own, because a broken one may end the process.

    python -P -m segkit.doctor.probe MODULE ...

Each import, and what PyTorch says about the machine, is written as a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from segkit.doctor.private_text import without_folders
from segkit.errors import printable

TORCH = "torch"


def main(modules: Sequence[str]) -> None:
    """Import each module and write whether it worked; then the facts of PyTorch, if it is there."""
    for module in modules:
        _write({"module": module, "error": import_error(module)})
    if TORCH in sys.modules:
        _write({TORCH: torch_facts(sys.modules[TORCH])})


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def import_error(module: str) -> str:
    """Return why a module cannot be imported, or ""."""
    try:
        importlib.import_module(module)
    except Exception as error:  # an import may raise anything
        return words(error)
    return ""


def words(error: Exception) -> str:
    """Return kind and first line of an error."""
    first = (str(error) or "no message").splitlines()[0]
    return without_folders(printable(f"{type(error).__name__}: {first}"))


def torch_facts(torch: Any) -> dict[str, Any]:
    """Return threads and GPUs, and why CUDA cannot be used, as PyTorch sees them."""
    cuda, error = torch.cuda, ""
    if torch.version.cuda and not cuda.is_available():
        try:
            cuda.init()
        except Exception as reason:  # of the driver, in many forms
            error = words(reason)
    count = cuda.device_count() if cuda.is_available() else 0
    return {
        "threads": torch.get_num_threads(),
        "cuda_error": error,
        "gpus": [gpu_facts(torch, number) for number in range(count)],
    }


def gpu_facts(torch: Any, number: int) -> dict[str, Any]:
    """Return name, capability and memory of a GPU, and why it cannot compute, if so."""
    try:
        free, total = torch.cuda.mem_get_info(number)
        torch.ones(8, device=f"cuda:{number}").sum().item()
        error = ""
    except Exception as reason:  # such as no kernels for this GPU in this build
        free = total = None
        error = words(reason)
    major, minor = torch.cuda.get_device_capability(number)
    name = torch.cuda.get_device_name(number)
    facts = {"name": name, "capability": f"{major}.{minor}", "total": total, "free": free}
    return {**facts, "error": error}


if __name__ == "__main__":
    main(sys.argv[1:])
