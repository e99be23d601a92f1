"""Load the networks of an ensemble and choose device, precision and engine for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.bundle.bundle import Bundle
from segkit.inference.scoring.engine import choose_engine, make_engine
from segkit.inference.scoring.precision import choose_precision
from segkit.inference.scoring.window_scorer import WindowScorer, choose_device
from segkit.networks.fusion import fuse
from segkit.plans.plan import Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadyNetworks:
    """Networks on their device, and the choices that a run record names."""

    scorer: WindowScorer
    precision: str
    precision_reason: str
    """Why the precision was chosen, in words."""
    engine: str


def ready_networks(
    bundles: Sequence[Bundle], plan: Plan, *, device: str, precision: str, engine: str, tta: bool
) -> ReadyNetworks:
    """Load the networks of all folds of ``bundles``.

    Args:
        bundles: models of an ensemble.
        plan: plan of the ensemble.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, float32, bfloat16 or float16.
        engine: auto, torch or openvino.
        tta: also average over windows mirrored along the axes that the plan allows.

    Raises:
        UsageError: a name that is not listed here, or a device or engine that this machine cannot
            use.
        InputError: weights that cannot be read.
    """
    torch_device = choose_device(device)
    precision, reason = choose_precision(precision, torch_device, bundles)
    if precision != "float32":
        log.info("computing in %s: %s", precision, reason)
    networks = [fuse(network) for bundle in bundles for network in bundle.networks()]
    engine = choose_engine(engine, device=torch_device, precision=precision, networks=networks)
    scorer = WindowScorer(
        networks,
        plan,
        device=torch_device,
        precision=precision,
        tta=tta,
        engine=make_engine(engine, plan, precision),
    )
    return ReadyNetworks(scorer, precision, reason, engine)
