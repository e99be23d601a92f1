"""Trainings of the normalization study: what they share and in what they differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from segkit.config.compose import load
from segkit.plans.plan_file import read_plan
from segkit.studies.normalization.arms import arm_config, arm_plan, in_tables, shared_config
from segkit.studies.normalization.settings import NormalizationSettings, Training

PLAN = read_plan(Path(__file__).parents[2] / "data" / "plan_v1.json")
SETTINGS = NormalizationSettings(batch_sizes=(1, 8), samples=80)


def test_norms_seeds_and_smaller_batches_do_not_change_the_folder_of_the_study() -> None:
    config = load(["dataset=x"])
    shared = shared_config(config, SETTINGS)
    more = NormalizationSettings(("batch", "layer"), (2, 4, 8), (5,), samples=80)
    assert shared_config(config, more) == shared
    assert shared_config(config, dataclasses.replace(SETTINGS, samples=160)) != shared
    assert (shared.trainer.batch_size, shared.trainer.max_steps) == (8, 10)
    assert config == load(["dataset=x"])


def test_the_plan_of_an_arm_has_another_norm_and_batch_and_nothing_else() -> None:
    config = arm_config(load([]), SETTINGS, Training("batch", 1, 3))
    plan = arm_plan(PLAN, config)
    assert (config.seed, config.trainer.accumulate, config.network.norm) == (3, 8, "batch")
    assert {(layer.norm, layer.groups) for layer in plan.network.layers} == {("batch", 0)}
    assert plan.batch_size == 1
    as_before = dataclasses.replace(plan, network=PLAN.network, batch_size=PLAN.batch_size)
    assert as_before == PLAN


def test_groups_of_eight_channels_have_eight_channels_at_every_width() -> None:
    config = arm_config(load([]), SETTINGS, Training("group_8", 8, 0))
    wide = dataclasses.replace(PLAN, network=_widened(16))
    layers = arm_plan(wide, config).network.layers
    assert {layer.channels // layer.groups for layer in layers} == {8}


def _widened(factor: int):  # type: ignore[no-untyped-def]
    def stages(old):  # type: ignore[no-untyped-def]
        return tuple(
            dataclasses.replace(
                stage,
                layers=tuple(
                    dataclasses.replace(layer, channels=layer.channels * factor)
                    for layer in stage.layers
                ),
            )
            for stage in old
        )

    network = PLAN.network
    return dataclasses.replace(
        network, encoder=stages(network.encoder), decoder=stages(network.decoder)
    )


def test_measurements_are_sorted_into_tables() -> None:
    rows = [{"measure": "dice", "value": 1}, {"measure": "pool", "value": 2}]
    tables = in_tables([*rows, {"measure": "loss", "value": 3}])
    assert {name: len(part) for name, part in tables.items()} == {
        "results": 1,
        "convergence": 1,
        "layers": 1,
    }
