"""Overrides of a training that takes about a second, for tests that need a real one."""

from __future__ import annotations

SMALL = (
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=0",
)
"""A small network on a coarse grid, without validation."""

QUICK = (
    "trainer.max_steps=2",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
)
"""Two steps, in a precision and memory format that need no timing."""
