"""Compile the modules that segkit imports, so that a read-only image starts without compiling.

    python image_bytecode.py        in docker/Dockerfile, with the Python of the image

Compiling every installed file instead would add 240 MB. The compiled files hold for their sources
whatever the time stamps, which some tools that copy images change.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import py_compile
import sys
from pathlib import Path

import segkit

NEEDS_GPU = "triton"
"""Part of the names of modules that can be imported with a GPU only."""


def main() -> None:
    import_all()
    sources = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    inside = [path for path in sources if path and path.startswith(sys.prefix)]
    for path in filter(lambda name: Path(name).suffix == ".py", inside):
        py_compile.compile(path, invalidation_mode=mode, doraise=True)
    print(f"compiled {len(inside)} modules")


def import_all() -> None:
    """Import all modules of segkit; those of an extra that the image lacks are passed over."""
    for module in pkgutil.walk_packages(segkit.__path__, "segkit."):
        if NEEDS_GPU not in module.name and not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


if __name__ == "__main__":
    main()
