"""The last patches are not augmented."""

from __future__ import annotations

from typing import Any, cast

from segkit.training.callbacks.augmentation_end import AugmentationEnd
from segkit.training.optimization.schedule import Schedule


class Patches:
    """Holds the number of the first patch without augmentation."""

    first = 0

    def plain_from(self, number: int) -> None:
        self.first = number


def test_the_end_follows_the_schedule(module: Any) -> None:
    patches = Patches()
    callback = AugmentationEnd(cast(Any, patches), Schedule(4, augment_until=0.75), 2)
    assert patches.first == 6  # step 3 of 4, two patches a step
    module.schedule.plain_from = 2
    callback.on_train_batch_end(cast(Any, None), module)
    assert patches.first == 4
