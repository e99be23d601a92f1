"""Frame of a study: the planner's own plan of its dataset, and the size of a typical scan."""

from __future__ import annotations

from segkit.errors import UsageError
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.usual_spacing import median_size
from segkit.studies.scaling.candidate import SCALABLE, Frame
from segkit.training.outputs.run_folder import prepared_folder
from segkit.training.setup import Setup


def frame_of(study: Setup) -> Frame:
    """Return the frame of a study whose dataset has been measured.

    Raises:
        UsageError: a network that has no convolutions per stage to scale.
    """
    plan, network = study.plan, study.config.network
    if plan.network.name not in SCALABLE:
        raise UsageError(
            f"network={plan.network.name} cannot be scaled: width, depth and patch are those of "
            f"network={' or '.join(SCALABLE)}"
        )
    store = prepared_folder(study.config, study.run_dir)
    cases = load_or_measure(study.dataset, store).cases
    return Frame(plan, network, median_size(cases, plan.spacing))
