"""Run the command line for ``python -m segkit``."""

from __future__ import annotations

import sys

from segkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
