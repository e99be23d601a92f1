"""Overrides with several values."""

from __future__ import annotations

import pytest

from segkit.config.sweep import combinations
from segkit.errors import UsageError


def values(*words: str) -> list[dict[str, str]]:
    return [each.values for each in combinations(words)]


def test_every_combination_the_last_key_fastest() -> None:
    found = combinations(["seed=0,1", "fold=0", "network=unet,residual_unet"])
    assert [each.values for each in found] == [
        {"seed": "0", "network": "unet"},
        {"seed": "0", "network": "residual_unet"},
        {"seed": "1", "network": "unet"},
        {"seed": "1", "network": "residual_unet"},
    ]
    assert found[1].overrides == ("seed=0", "fold=0", "network=residual_unet")
    assert found[1].described == "seed=0 network=residual_unet"


def test_ranges_lists_and_functions() -> None:
    assert values("seed=range(1,5)") == [{"seed": str(number)} for number in (1, 2, 3, 4)]
    assert values("seed=choice(3,1)") == [{"seed": "3"}, {"seed": "1"}]
    (first, second) = combinations(["network.features=[4,8],[8,16]"])
    assert [each.config.network.features for each in (first, second)] == [[4, 8], [8, 16]]
    assert [each.config.augment.mirror for each in combinations(["augment.mirror=none,[0,2]"])] == [
        "none",
        [0, 2],
    ]


def test_paths_and_names_are_taken_as_typed() -> None:
    words = ["dataset=a,b (1)=c", "weights=x,y", "dataset.labels={a:1,b:2}", "seed=0,1"]
    first = combinations(words)[0].config
    assert (first.dataset.path, first.weights, first.dataset.labels) == (
        "a,b (1)=c",
        "x,y",
        {"a": 1, "b": 2},
    )


def test_regions_are_taken_as_a_single_training_takes_them() -> None:
    found = combinations(["dataset=x", "dataset.regions={Tumör:[1,2],core:[2]}", "seed=0,1"])
    assert [each.config.dataset.regions for each in found] == [{"Tumör": [1, 2], "core": [2]}] * 2


def test_nothing_swept_is_one_training() -> None:
    (only,) = combinations(["run_dir=a", "seed=1"])
    assert (only.values, only.described) == ({}, "as given")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=0,x"], "seed must be a whole number"),
        (["sede=0,1"], "unknown override 'sede'. Did you mean seed"),
        (["network=unet,unte"], "unknown choice network=unte. Did you mean unet"),
        (
            ["network.norm=group,none", "network.num_groups=2"],
            "groups go with network.norm=group or group_ws only",
        ),
        (["seed=0,1", "seed=2"], "seed is given twice"),
        (["seed=0,1", "run_dir=a"], "run_dir names the folder of one run: leave it out"),
        (["seed=1,1"], "'seed=1,1' names a value twice: write the values as a,b,c"),
        (["seed=range(3,3)"], r"'seed=range\(3,3\)' names no value"),
        (["trainer.ema=interval(0,1)"], "cannot sweep over 'trainer.ema=interval"),
        (["network.norm=glob(*)"], "cannot sweep over 'network.norm=glob"),
        (["+seed=0,1"], r"cannot use the override '\+seed=0,1'"),
    ],
)
def test_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        combinations(words)
