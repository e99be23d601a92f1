"""Generate the API pages from the docstrings with pdoc (`make docs`).

    python tools/api_pages.py [FOLDER]       default: build/api

The pages load nothing from the network.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pdoc

import segkit

WITH_TRITON = (".group_norm_triton", ".triton_programs")
"""Modules that need Triton, which is installed with a GPU build of PyTorch only."""


def modules() -> list[str]:
    """Return the modules of the package for pdoc, with a leading ``!`` on those to exclude."""
    names = sorted(module.name for module in pkgutil.walk_packages(segkit.__path__, "segkit."))
    excluded = () if find_spec("triton") else WITH_TRITON
    return ["segkit", *(f"!{name}" if name.endswith(excluded) else name for name in names)]


def show_everything() -> None:
    """Import the names that packages import lazily, so that pdoc lists them and all modules."""
    packages = [name for name in sys.modules if name == "segkit" or name.startswith("segkit.")]
    for package in [sys.modules[name] for name in packages]:
        if not hasattr(package, "__path__") or not hasattr(package, "__all__"):
            continue
        for name in package.__all__:
            setattr(package, name, getattr(package, name))
        inside = [module.name for module in pkgutil.iter_modules(package.__path__)]
        package.__all__ = [*package.__all__, *(name for name in inside if name[0] != "_")]


def main() -> None:
    """Write the pages."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/api")
    warnings.simplefilter("ignore")
    names = modules()
    show_everything()
    pdoc.render.configure(docformat="google", footer_text=f"segkit {segkit.__version__}")
    pdoc.pdoc(*names, output_directory=folder)
    print(folder / "index.html")


if __name__ == "__main__":
    main()
