"""Examples of two labels whose Dice falls with the number of pieces and the soft Dice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.quality.features import AS_IT_IS, Features, logit
from segkit.quality.fitting import Example

KINDS = ("noise", "blur", "orientation")


def examples(cases: int = 8, kinds: Sequence[str] = KINDS, seed: int = 0) -> list[Example]:
    """Return cases as they are with a Dice of about 0.9 and 0.6, and worse copies of them."""
    random = np.random.default_rng(seed)
    made = []
    for case in range(cases):
        for kind in (AS_IT_IS, *kinds):
            share = 1.0 if kind == AS_IT_IS else random.uniform(0, 1)
            for label, usual in (("liver", 0.9), ("vessel", 0.6)):
                soft = 0.5 + 0.48 * share + random.normal(0, 0.005)
                pieces = 3 * (1 - share)
                dice = float(np.clip(usual * share + random.normal(0, 0.02), 0, 1))
                features = Features(logit(soft), pieces, 0.0, 0.0)
                made.append(Example(f"case{case}", kind, label, features, dice))
    return made
