"""Find the largest array that an object holds, for tests of what stays in memory."""

from __future__ import annotations

import gc
import types
from typing import Any

import numpy as np

NOT_DATA = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def largest_array(held: Any) -> int:
    """Return the bytes of the largest array that can be reached from an object.

    A view counts as much as the array whose memory it keeps.
    """
    seen: set[int] = set()
    largest, waiting = 0, [held]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, NOT_DATA):
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            largest = max(largest, thing.nbytes)
            waiting.append(thing.base)  # not among the referents of an array
        elif isinstance(thing, (bytes, bytearray, memoryview)):
            largest = max(largest, len(thing))
        waiting += gc.get_referents(thing)
    return largest
