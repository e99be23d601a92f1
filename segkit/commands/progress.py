"""How far a walk over many cases is, on standard error."""

from __future__ import annotations

from segkit.commands.status_line import StatusLine


class CaseCounter(StatusLine):
    """Counts cases. Shows no case ids: they may name patients."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb

    def show(self, done: int, total: int, _case: str = "") -> None:
        """Show that ``done`` of ``total`` cases are done, if it is time to."""
        if self.due():
            self.write(f"{self.verb}: {done} of {total} cases")
