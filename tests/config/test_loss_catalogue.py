from __future__ import annotations

import inspect
from pkgutil import resolve_name

import pytest
from torch import nn

from segkit.config.loss_catalogue import LOSSES
from segkit.training.optimization import losses

MEMBERSHIP = [[False, True, True], [False, False, True]]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_built_from_its_row(name: str) -> None:
    assert isinstance(losses.loss_by_name(name), nn.Module)
    if LOSSES[name].region_builder:
        assert isinstance(losses.region_loss_by_name(name, MEMBERSHIP), nn.Module)


def test_every_loss_for_labels_is_in_the_catalogue() -> None:
    parts = {losses.DeepSupervision, losses.RareLabelCrossEntropy}
    classes = {
        kind
        for _, kind in inspect.getmembers(losses, inspect.isclass)
        if kind.__module__ == losses.__name__ and issubclass(kind, nn.Module)
    }
    assert classes - parts == {resolve_name(entry.builder) for entry in LOSSES.values()}
