from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from segkit.bundle.bundle import Bundle
from segkit.errors import UsageError
from segkit.inference.predictor import Predictor
from segkit.inference.scoring.precision import by_time, choose_precision, first_stage
from segkit.inference.scoring.window_scorer import choose_device

CPU = torch.device("cpu")
Make = Callable[..., Bundle]


def agreeing(bundle: Bundle, dice: float) -> Bundle:
    return dataclasses.replace(
        bundle, card={**bundle.card, "bfloat16": {"dice": {"bright": dice}, "cases": 1}}
    )


def test_what_is_asked_for_is_taken(make_bundle: Make) -> None:
    assert choose_precision("float16", CPU, [make_bundle()]) == ("float16", "asked for")
    with pytest.raises(
        UsageError, match="--precision half: must be auto, float32, bfloat16, float16"
    ):
        choose_precision("half", CPU, [make_bundle()])


def test_a_model_that_does_not_know_computes_in_float32(make_bundle: Make) -> None:
    unknown = make_bundle()
    why = "how well bfloat16 agrees with it is not known of the model"
    assert choose_precision("auto", CPU, [unknown]) == ("float32", why)
    assert choose_precision("auto", CPU, [agreeing(unknown, 1.0), unknown]) == ("float32", why)


def test_labels_that_change_forbid_bfloat16_whatever_the_machine(make_bundle: Make) -> None:
    bundles = [agreeing(make_bundle(), dice) for dice in (0.9995, 0.9989)]
    found = ("float32", "in bfloat16 the model's label maps agree to a Dice of 0.9989 only")
    assert choose_precision("auto", CPU, bundles) == found
    assert choose_precision("auto", torch.device("cuda"), bundles) == found


def test_the_clock_decides_where_labels_agree() -> None:
    timed = "a convolution in bfloat16 takes {} of its time in float32"
    assert by_time(0.76, 0.9995) == ("float32", timed.format("0.76"))
    agree = f"{timed.format('0.75')}, and label maps agree to a Dice of 0.9995"
    assert by_time(0.75, 0.9995) == ("bfloat16", agree)


@pytest.mark.parametrize("dims", [2, 3])
def test_what_is_timed_is_a_convolution_of_the_first_stage(dims: int, make_bundle: Make) -> None:
    layer, image = first_stage(make_bundle(dims, 2).plan)
    assert image.shape == layer(image).shape == (1, 2, *[8] * dims)


def test_a_large_window_is_cut_for_the_timing(make_bundle: Make) -> None:
    assert first_stage(make_bundle(patch=(96, 64, 64)).plan)[1].shape == (1, 1, 48, 32, 32)


def test_the_choice_leaves_random_numbers_as_they_were_and_is_kept(make_bundle: Make) -> None:
    bundle = agreeing(make_bundle(), 1.0)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    predictor = Predictor(bundle)
    assert torch.equal(torch.rand(1), expected)
    assert predictor.precision_reason.startswith("a convolution in bfloat16 takes")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_that_computes_bfloat16_takes_it(make_bundle: Make) -> None:
    device = choose_device("cuda")
    expected = "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    assert choose_precision("auto", device, [make_bundle()])[0] == expected
