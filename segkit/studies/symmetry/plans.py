"""Plans of the symmetry study: one patch and one spacing for all arms, and a network for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from segkit.config.schema import NetworkConfig, PlanConfig, TrainConfig
from segkit.errors import UsageError
from segkit.fingerprint.cache import load_or_measure
from segkit.planning.planner import make_plan
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.symmetry import SYMMETRIES, Element, elements
from segkit.studies.symmetry.matching import Cost, cost_of, matched_widths, widths_of, with_network
from segkit.studies.symmetry.settings import SYMMETRY, Arm, SymmetrySettings
from segkit.training.outputs.run_folder import prepared_folder
from segkit.training.setup import Setup

NEARLY = 0.1
"""Relative difference of two counts up to which they count as matched."""
STALE = ("symmetry", "network", "mirror")
"""Reasons of the shared plan that do not hold for the network of an arm."""


def shared_config(
    config: TrainConfig, settings: SymmetrySettings, overrides: Sequence[str] = ()
) -> TrainConfig:
    """Return the configuration from which the shared plan is made: that of the largest group.

    Its patch and spacing suit all other groups and the plain network. The trainings have no
    validations unless they were asked for: every finished network is measured case by case.
    """
    features = settings.features
    widths = None if isinstance(features, str) else _rounded(features, settings.largest)
    network = equivariant(config.network, settings.largest, widths)
    config = SYMMETRY.trained(config, overrides)
    trainer = dataclasses.replace(config.trainer, max_steps=None, max_minutes=None)
    augment = dataclasses.replace(config.augment, mirror="none")
    return dataclasses.replace(config, network=network, trainer=trainer, augment=augment)


def equivariant(
    network: NetworkConfig, symmetry: str, widths: Sequence[int] | None
) -> NetworkConfig:
    """Return the settings of an equivariant network."""
    features = None if widths is None else list(widths)
    return dataclasses.replace(
        network, name="equivariant_unet", symmetry=symmetry, features=features
    )


def plain(network: NetworkConfig, widths: Sequence[int]) -> NetworkConfig:
    """Return the settings of a plain network."""
    return dataclasses.replace(network, name="unet", symmetry=None, features=list(widths))


def _rounded(widths: Sequence[int], symmetry: str) -> list[int]:
    """Return widths rounded up to multiples of the order of a group.

    >>> _rounded((8, 16, 32), "octahedral24")
    [24, 24, 48]
    """
    order = SYMMETRIES[symmetry].order
    return [-(-width // order) * order for width in widths]


def is_matched(ratio: float) -> bool:
    """Return whether two counts with this ratio are about equal."""
    return abs(ratio - 1) <= NEARLY


@dataclass(frozen=True)
class StudyPlans:
    """Plans of all arms, and the groups with their axes."""

    arms: Mapping[Arm, Plan]
    groups: Mapping[str, SymmetryPlan]
    swaps: tuple[tuple[str, str], ...]
    """Pairs of labels, left and right, whose names a reflection exchanges."""

    def poses(self, group: str) -> tuple[Element, ...]:
        """Return the elements of a group, which move whole scans; the first moves nothing."""
        symmetry = self.groups[group]
        return elements(symmetry.group, symmetry.axes, 3)

    def cost(self, arm: Arm) -> Cost:
        """Return the cost of the network of an arm."""
        return cost_of(self.arms[arm])

    def ratio(self, arm: Arm) -> float:
        """Return the count that an equivariant network matches, relative to the plain one's."""
        own, reference = (getattr(self.cost(one), arm.kind) for one in (arm, Arm("plain")))
        return float(own / reference)

    def widths(self, arm: Arm) -> tuple[int, ...]:
        """Return the number of channels of each stage of the network of an arm."""
        return widths_of(self.arms[arm])


def study_plans(study: Setup, settings: SymmetrySettings) -> StudyPlans:
    """Return the plans of all arms, from the study's plan and measurements.

    Raises:
        UsageError: a group that fits neither the labels nor the patch.
    """
    config = study.config.network
    found = {name: _group(study, name) for name in settings.symmetries}
    shared = dataclasses.replace(
        study.plan,
        mirror_axes=(),
        mirror_swaps=(),
        reasons={key: text for key, text in study.plan.reasons.items() if key not in STALE},
    )
    widths = widths_of(study.plan) if isinstance(settings.features, str) else settings.features
    plain_plan = with_network(shared, widths, plain(config, widths), None)
    plans = {Arm("plain"): plain_plan}
    for arm in settings.arms[1:]:
        symmetry, swaps = found[arm.symmetry]
        if arm.is_equivariant:
            made = _matched(shared, arm, config, symmetry, plain_plan)
        else:
            made = dataclasses.replace(plain_plan, training_poses=symmetry)
        plans[arm] = dataclasses.replace(made, mirror_swaps=swaps)
    groups = {name: symmetry for name, (symmetry, _) in found.items()}
    return StudyPlans(plans, groups, max((swaps for _, swaps in found.values()), key=len))


def _matched(
    shared: Plan, arm: Arm, config: NetworkConfig, symmetry: SymmetryPlan, plain_plan: Plan
) -> Plan:
    """Return the plan with the equivariant network that costs about as much as the plain one."""
    settings = equivariant(config, arm.symmetry, None)
    make = partial(with_network, shared, network=settings, symmetry=symmetry)

    def cost(plan: Plan) -> int:
        return int(getattr(cost_of(plan), arm.kind))

    def fits(widths: Sequence[int]) -> bool:
        try:
            make(widths)
        except UsageError:  # channels per group that the user gave, for example
            return False
        return True

    plain_widths, order = widths_of(plain_plan), SYMMETRIES[arm.symmetry].order
    widths = matched_widths(
        plain_widths, order, lambda widths: cost(make(widths)), cost(plain_plan), fits=fits
    )
    # If no widths fit, the planner says what is wrong with the smallest ones.
    return make(widths or _rounded([1] * len(plain_widths), arm.symmetry))


def _group(study: Setup, name: str) -> tuple[SymmetryPlan, tuple[tuple[str, str], ...]]:
    """Return the axes of a group and the labels that it exchanges, as the planner chooses them."""
    plan, symmetry = study.plan, study.plan.network.symmetry
    if symmetry is not None and symmetry.group == name:
        return symmetry, plan.mirror_swaps
    store = prepared_folder(study.config, study.run_dir)
    made = make_plan(
        load_or_measure(study.dataset, store),
        study.dataset,
        network=equivariant(study.config.network, name, _rounded(widths_of(plan), name)),
        plan=PlanConfig(
            patch=list(plan.patch),
            # Along the slice axis of a 2D network there is none.
            spacing=[1.0 if edge is None else edge for edge in plan.spacing],
        ),
        batch_size=plan.batch_size,
        mirror="none",
    )
    if made.network.symmetry is None:
        raise ValueError(f"a plan without the symmetry {name}")
    return made.network.symmetry, made.mirror_swaps
