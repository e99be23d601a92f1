"""A plan of two labels; networks play no part here."""

from __future__ import annotations

import pytest

from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan


@pytest.fixture
def plan_for_quality() -> Plan:
    """Return a plan of the labels low (3) and high (7) at 1 mm."""
    return Plan(
        name="quality",
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("MRI", "zscore"),),
        labels={"low": 3, "high": 7},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=(8, 8, 8),
        batch_size=2,
        mirror_axes=(),
        crop_to_content=False,
        network=NetworkPlan("unet", "relu", encoder=(), decoder=()),
    )
