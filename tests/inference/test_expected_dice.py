"""A prediction with expected Dice and calibrated probabilities: same label map, by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.errors import InputError
from segkit.inference import Predictor
from segkit.inference.prediction import Wanted
from segkit.networks.precision import ComputeMode
from segkit.preprocessing.case_store import PreparedCase
from segkit.preprocessing.chain import prepare
from segkit.quality.calibration import calibration_entry
from segkit.quality.entry import expected_dice_entry
from segkit.quality.expected_dice import ExpectedDice, LabelQuality, Typical
from segkit.quality.features import logit
from segkit.training.outputs.measured_quality import measure_case
from segkit.volume import Volume

Make = Callable[..., Bundle]
USUAL = Typical(0.8, (logit(0.9999), 0.0, 0.0, 0.0))
LINE = ExpectedDice(
    (1.0, 1.0, 0.0, 0.0), ((-9.0, 0.0), (0.0, 1.0)), {"bright": USUAL}, ((0.5, 0.1),)
)


def with_entries(bundle: Bundle, **more: Any) -> Bundle:
    entry = expected_dice_entry(LINE, {"cases": 12})
    return dataclasses.replace(bundle, card={**bundle.card, **entry, **more})


def scan(*, pieces: int = 1, height: float = 60.0) -> Volume:
    """Boxes of 4 x 4 x 4 voxels at ``height``, where the model finds values above 50."""
    array = np.zeros((1, 30, 9, 9), np.float32)
    for piece in range(pieces):
        array[0, 1 + 8 * piece : 5 + 8 * piece, 2:6, 2:6] = height
    return Volume(array, np.eye(4))


def predicted(bundle: Bundle, volume: Volume) -> LabelQuality:
    prediction = Predictor(bundle).prediction(volume, Wanted(expected_dice=True))
    return prediction.expected_dice["bright"]


def test_by_hand(make_bundle: Make) -> None:
    bundle = with_entries(make_bundle())
    # Ten above the threshold is a probability of nearly 1: as sure as usual.
    assert predicted(bundle, scan()).dice == pytest.approx(0.8, abs=0.01)
    # Three pieces cost log 3 of 9.
    three = predicted(bundle, scan(pieces=3))
    assert three.dice == pytest.approx(0.8 * (1 - np.log(3) / 9), abs=0.01)
    assert three.error == 0.1
    # Barely above it: probabilities of 0.52 in 64 voxels.
    assert (predicted(bundle, scan(height=50.1)).dice or 0) < 0.5


def test_it_changes_nothing_else(make_bundle: Make) -> None:
    volume, wanted = scan(pieces=3), Wanted(expected_dice=True)
    plain = Predictor(make_bundle())
    assert plain.prediction(volume, wanted).expected_dice == {}
    with_entry = Predictor(with_entries(make_bundle()))
    assert with_entry.prediction(volume).expected_dice == {}
    found = with_entry.prediction(volume, wanted)
    np.testing.assert_array_equal(found.labels.array, plain.predict(volume).array)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0)])
def test_training_measures_what_prediction_measures(
    make_bundle: Make, spacing: tuple[float, float, float]
) -> None:
    bundle = with_entries(make_bundle(spacing=spacing))
    volume = Volume(scan(pieces=2, height=53).array.repeat(2, 2), np.eye(4))
    image = prepare(volume, bundle.plan).image
    case = PreparedCase("a", image, np.ones(image.shape[1:], np.uint8), {})
    mode = ComputeMode("float32", "contiguous")
    module: Any = SimpleNamespace(
        average=bundle.networks()[0], mode=mode, device=torch.device("cpu")
    )
    example = measure_case(module, case, bundle.plan).examples[0]
    assert example.degradation == "none"
    assert predicted(bundle, volume).dice == pytest.approx(
        LINE.dice("bright", example.features), abs=1e-3
    )


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_calibrated_probabilities_keep_the_label_map(make_bundle: Make, kind: Any) -> None:
    volume = Volume(
        np.random.default_rng(0).normal(50, 3, (1, 12, 9, 10)).astype(np.float32), np.eye(4)
    )
    predictor = Predictor(make_bundle())
    plain, calibrated = (
        predictor.prediction(volume, Wanted(True, kind, temperatures=temperatures))
        for temperatures in (None, (2.0, 2.0))
    )
    np.testing.assert_array_equal(plain.labels.array, calibrated.labels.array)
    assert calibrated.probabilities
    shares = np.asarray(calibrated.probabilities.array)
    np.testing.assert_array_equal(shares.argmax(axis=0) * 7, calibrated.labels.array[0])
    sigmoid = 1 / (1 + np.exp(-(volume.array[0] - 50) / 2))
    np.testing.assert_allclose(shares[1], sigmoid, atol=0.005)
    assert plain.uncertainty
    assert calibrated.uncertainty
    assert calibrated.uncertainty.array.mean() > plain.uncertainty.array.mean()


def test_bundle_json_is_checked(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle(folder="m")
    path = tmp_path / "m" / "bundle.json"
    card = json.loads(path.read_text())
    entry = calibration_entry(3, {"bright": 2.0}, {}, {})
    figures = {"error": 0.1, "error_of_mean": 0.1}
    accuracy = {"cases": 12, "as_they_are": figures, "with_degraded": figures}
    path.write_text(json.dumps(card | entry | expected_dice_entry(LINE, accuracy)))
    assert read_bundle(tmp_path / "m").card["calibration"]["temperatures"] == {"bright": 2.0}
    path.write_text(json.dumps(card | {"expected_dice": {"features": ["a"]}}))
    with pytest.raises(InputError, match="expected_dice with weights of the features"):
        read_bundle(tmp_path / "m")
    path.write_text(json.dumps(card | {"calibration": {"cases": 3}}))
    with pytest.raises(InputError, match="calibration with a number of cases"):
        read_bundle(tmp_path / "m")
