"""The plain model of an equivariant one gives the same scores, and holds no code of symmetries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.notes import read_notes
from segkit.bundle.plain_model import plain_plan, write_plain
from segkit.commands import export
from segkit.errors import InputError, UsageError
from segkit.networks import build_network
from segkit.networks.pruning import channel_sets
from segkit.networks.unet import UNet
from segkit.plans.plan import Plan
from tests.symmetric_plans import GROUPS, planned


def model(plan: Plan, folder: Path) -> Path:
    """Write a bundle of two folds with random weights."""
    states = {}
    for fold in ("0", "1"):
        torch.manual_seed(int(fold))
        network = build_network(plan)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0.2, 0.5)
        states[fold] = network.state_dict()
    config = {"network": {"name": "equivariant_unet", "symmetry": "d4"}, "seed": 3}
    card = {"name": "turns", "metrics": {"dice": 0.5}}
    write_bundle(folder, plan, card, states, config)
    return folder


@pytest.mark.parametrize(("group", "dims"), GROUPS)
def test_scores_are_the_same_for_every_fold(group: str, dims: int, tmp_path: Path) -> None:
    original = read_bundle(model(planned(group, dims), tmp_path / "model"))
    plain = write_plain(original, tmp_path / "plain")
    x = torch.randn(1, 2, *(8, 12, 16)[:dims])
    for one, other in zip(original.networks(), plain.networks(), strict=True):
        assert type(other) is UNet
        with torch.inference_mode():
            expected, found = one(x), other(x)
        assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_the_notes_go_with_the_plain_model(tmp_path: Path) -> None:
    original = read_bundle(model(planned("d4", 3), tmp_path / "model"))
    (tmp_path / "model" / "notes.md").write_text("mine")
    assert read_notes(write_plain(original, tmp_path / "plain").path) == "mine"


def test_the_card_keeps_the_facts_and_names_the_original(tmp_path: Path) -> None:
    original = read_bundle(model(planned("d4", 3), tmp_path / "model"))
    plain = write_plain(original, tmp_path / "plain")
    assert (plain.name, plain.card["metrics"]) == ("turns", {"dice": 0.5})
    assert plain.card["plain_of"] == {
        "hash": original.hash,
        "network": "equivariant_unet",
        "symmetry": "d4",
    }
    assert plain.config == {"network": {"name": "unet", "symmetry": None}, "seed": 3}
    assert plain.plan.hash() == plain.card["plan"] != original.card["plan"]


def test_the_plain_model_can_be_pruned_and_the_original_cannot() -> None:
    plan = planned("d4", 3)
    assert channel_sets(plain_plan(plan))
    with pytest.raises(InputError, match="without symmetry, whose channels can be removed"):
        channel_sets(plan)


def test_export_writes_one_file(tmp_path: Path) -> None:
    folder, out = model(planned("mirror", 2), tmp_path / "model"), tmp_path / "plain.segkit"
    assert export.run([str(folder), str(out), "--plain"]) == 0
    assert read_bundle(out).plan.network.name == "unet"
    with pytest.raises(InputError, match="Leave --plain out"):
        export.run([str(out), str(tmp_path / "again.segkit"), "--plain"])
    with pytest.raises(UsageError, match=r"--plain is for \.segkit"):
        export.run([str(folder), str(tmp_path / "graph.xml"), "--plain"])
