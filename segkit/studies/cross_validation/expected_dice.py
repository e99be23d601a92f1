"""Expected Dice of the ensemble of a cross-validation, fitted to the cases of all folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.quality.accuracy import estimate_with_accuracy
from segkit.quality.entry import expected_dice_entry
from segkit.quality.example_file import read_examples


def pooled_expected_dice(run_dirs: Sequence[Path]) -> dict[str, Any]:
    """Return the entry of bundle.json; empty unless two folds have measured cases.

    Each case was measured by the model that did not see it. The accuracy is that of folds which
    the fit did not use. The ensemble averages the models, so that its scans look a little different
    from those that were measured.

    Args:
        run_dirs: folder of the run of each fold.

    Raises:
        InputError: examples of a run that cannot be read.
    """
    by_fold = {str(number): read_examples(folder) for number, folder in enumerate(run_dirs)}
    groups = {one.case: fold for fold, examples in by_fold.items() for one in examples}
    examples = [one for examples in by_fold.values() for one in examples]
    fitted = estimate_with_accuracy(examples, groups)
    return expected_dice_entry(*fitted) if fitted else {}
