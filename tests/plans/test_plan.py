from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segkit.errors import InputError
from segkit.plans.plan_file import plan_from_dict, plan_text, read_plan

V1 = Path(__file__).parents[1] / "data" / "plan_v1.json"


@pytest.fixture
def content() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(V1.read_text(encoding="utf-8"))
    return loaded


def test_the_first_format_always_loads() -> None:
    plan = read_plan(V1)
    assert (plan.name, plan.dims, plan.patch, plan.spacing) == (
        "frozen",
        3,
        (16, 24, 12),
        (0.8, 0.8, 3),
    )
    assert plan.label_values == (0, 1, 255)
    assert plan.network.divisor == (4, 4, 2)
    assert len(plan.network.layers) == 10
    assert plan.channels[0].scheme == "ct"
    assert plan.mirror_axes == (0, 2)


def test_a_plan_comes_back_from_its_text() -> None:
    plan = read_plan(V1)
    assert plan_from_dict(json.loads(plan_text(plan))) == plan


def test_the_hash_looks_at_everything_but_the_reasons(content: dict[str, Any]) -> None:
    plan = plan_from_dict(content)
    assert plan_from_dict(content | {"reasons": {}}).hash() == plan.hash()
    assert plan_from_dict(content | {"batch_size": 7}).hash() != plan.hash()
    colour = {"recommendedDisplayRGBValue": [1, 2, 3]}
    assert (
        plan_from_dict(content | {"segments": {next(iter(plan.labels)): colour}}).hash()
        == plan.hash()
    )


def change(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        content = content[int(key) if isinstance(content, list) else key]
    content[int(last) if isinstance(content, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "format_version",
            2,
            "expected plan format 1 or older, found format 2. It was written by a newer segkit",
        ),
        ("format_version", None, "expected a whole number under 'format_version', found None"),
        ("patch", [16, 24, 11], r"patch \(16, 24, 11\) must be a multiple of \(4, 4, 2\)"),
        ("patch", [16, 24], "patch and spacing need three entries"),
        (
            "patch",
            [16, 24.5, 12],
            r"patch must be three whole numbers of at least 1, not \[16, 24.5, 12\]",
        ),
        ("patch", [10**9, 24, 12], "patch must be three whole numbers"),
        ("spacing", [1, 0, 1], "spacing must be three numbers above 0, or null"),
        ("spacing", [1, float("nan"), 1], "spacing must be three numbers above 0, or null"),
        ("dims", 4, "dims must be 2 or 3, not 4"),
        ("dims", 2, "slice_axis must be 0, 1 or 2 with dims 2, and null with dims 3, not None"),
        ("slice_axis", 1, "slice_axis must be 0, 1 or 2 with dims 2, and null with dims 3, not 1"),
        ("name", 5, "name must be a word, not 5"),
        ("network.activation", None, "network.activation must be a word, not None"),
        ("unit", "cm", "unit must be mm or px, not 'cm'"),
        ("batch_size", 0, "batch_size must be a whole number from 1 to 10000, not 0"),
        ("batch_size", "2", "batch_size must be a whole number from 1 to 10000, not '2'"),
        ("mirror_axes", [3], r"mirror_axes must be different axes out of \[0, 1, 2\], not \[3\]"),
        ("mirror_axes", [1, 1], "mirror_axes must be different axes"),
        (
            "mirror_swaps",
            [["nothing", "liver"]],
            "mirror_swaps must be pairs of different labels out of",
        ),
        ("mirror_swaps", [["liver"]], "the keys and types of a plan"),
        ("labels", {}, "labels must be names with whole numbers other than 0"),
        ("labels", {"a": 0}, "labels must be names with whole numbers other than 0"),
        ("labels", {"a": 1, "b": 1}, "labels must have different values"),
        ("labels", {"a": 2**31}, "labels must have values that fit into 32 bits"),
        ("labels", ["a"], "expected the keys and types of a plan, found AttributeError"),
        (
            "ignore",
            255,
            "ignore must be a whole number other than 0 and the labels' values, not 255",
        ),
        ("ignore", 0, "ignore must be a whole number other than 0"),
        (
            "regions",
            {"other": [1]},
            r"regions must have the names of the labels, in their order, not \['other'\]",
        ),
        ("regions", [1], "expected the keys and types of a plan, found AttributeError"),
        ("channels", [], "there must be at least one channel"),
        (
            "channels.0.std",
            0,
            "channel 'CT': lower, upper, mean and std must be numbers, lower not above upper",
        ),
        (
            "network.encoder.1.stride",
            [0, 2, 2],
            r"stride \(0, 2, 2\) must be whole numbers of at least 1",
        ),
        ("network.encoder.0.kernel", [3, 3.5, 3], r"kernel \(3, 3.5, 3\) and stride"),
        ("network.encoder.0.kernel", [3, 3], "found ValueError: not enough values"),
        (
            "network.encoder.0.layers.0.channels",
            "8",
            "channels '8' and groups . must be whole numbers",
        ),
        ("crop_to_content", "no", "crop_to_content must be true or false, not 'no'"),
        (
            "network.deep_supervision",
            "false",
            "network.deep_supervision must be true or false, not 'false'",
        ),
        ("channels.0.masked", 1, "channel 'CT': masked must be true or false, not 1"),
        ("colour", 1, "expected the keys and types of a plan, found TypeError: .*'colour'"),
        ("channels", 3, "expected the keys and types of a plan, found TypeError"),
        ("channels.0.scheme", "magic", "channel 'CT': scheme must be one of"),
        ("network.encoder.0.layers.0.norm", "magic", r"layer encoder\.0\.0: norm must be one of"),
        (
            "network.encoder.0.layers.0.groups",
            3,
            r"layer encoder\.0\.0: 8 channels do not divide into 3 groups",
        ),
    ],
)
def test_what_is_wrong_is_named(
    content: dict[str, Any], path: str, value: Any, message: str
) -> None:
    change(content, path, value)
    with pytest.raises(InputError, match=message):
        plan_from_dict(content)


@pytest.mark.parametrize("key", ["patch", "network", "labels", "channels"])
def test_a_missing_key_is_named(content: dict[str, Any], key: str) -> None:
    del content[key]
    with pytest.raises(InputError, match=key):
        plan_from_dict(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a plan as JSON"),
        ("[1]", "expected a JSON object, found list"),
        (None, "expected a plan as JSON"),
    ],
)
def test_files_that_are_no_plan(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_plan(path)


def test_a_plan_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(V1.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_plan(path) == read_plan(V1)


def test_a_2d_patch_is_one_thick(content: dict[str, Any]) -> None:
    for stage in (*content["network"]["encoder"], *content["network"]["decoder"]):
        stage["stride"][2] = 1
    content |= {"dims": 2, "slice_axis": 2, "patch": [16, 24, 5], "mirror_axes": [0]}
    with pytest.raises(InputError, match=r"patch \(16, 24, 5\) must be 1 along the slice axis 2"):
        plan_from_dict(content)


def test_the_order_of_labels_is_part_of_the_hash(content: dict[str, Any]) -> None:
    labels = {"a": 1, "b": 2}
    one, two = (
        plan_from_dict({**content, "labels": dict(order)})
        for order in (labels.items(), reversed(labels.items()))
    )
    assert one.labels == two.labels
    assert one.hash() != two.hash()


def test_sides_that_change_names_come_back_and_count(content: dict[str, Any]) -> None:
    labels = {"left": 5, "spine": 6, "right": 7}
    without = plan_from_dict({**content, "labels": labels})
    swapped = plan_from_dict({**content, "labels": labels, "mirror_swaps": [["left", "right"]]})
    assert plan_from_dict(json.loads(plan_text(swapped))) == swapped
    assert swapped.mirrored_outputs == (0, 3, 2, 1)
    assert without.mirrored_outputs == (0, 1, 2, 3)
    assert swapped.hash() != without.hash()


def test_a_plan_without_sides_has_the_hash_that_it_had_before_they_were_known(
    content: dict[str, Any],
) -> None:
    assert plan_from_dict(content).hash() == "8091539ce40c"


def test_regions_and_ignore_at_their_default_leave_the_hash_of_a_plan_as_it_was(
    content: dict[str, Any],
) -> None:
    assert plan_from_dict(content).hash() == "8091539ce40c"
    assert plan_from_dict(content | {"ignore": 7}).hash() != "8091539ce40c"


def with_regions(content: dict[str, Any], **regions: list[int]) -> dict[str, Any]:
    return content | {"labels": {"whole": 1, "core": 2}, "regions": regions}


def test_regions_have_an_output_each_and_none_for_background(content: dict[str, Any]) -> None:
    plan = plan_from_dict(with_regions(content, whole=[1, 2, 5], core=[5, 2]) | {"ignore": 3})
    assert plan.label_values == (1, 2)
    assert plan.targets == {"label_1": 1, "label_2": 2, "label_5": 5}
    assert plan.membership == [[False, True, True, True], [False, False, True, True]]
    assert plan_from_dict(json.loads(plan_text(plan))) == plan


def test_regions_do_not_change_names(content: dict[str, Any]) -> None:
    sides = with_regions(content, whole=[1, 2], core=[2]) | {"mirror_swaps": [["whole", "core"]]}
    with pytest.raises(InputError, match="mirror_swaps cannot be used with regions"):
        plan_from_dict(sides)


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ([2, 3], "region 'whole' must be written as a value that no later region has, not as 1"),
        ([1, 0], r"region 'whole' must be made of whole numbers other than 0, not \[1, 0\]"),
        ([], r"region 'whole' must be made of whole numbers other than 0, not \[\]"),
        (["1"], "region 'whole' must be made of whole numbers"),
    ],
)
def test_what_is_wrong_with_regions_is_named(
    content: dict[str, Any], whole: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_from_dict(with_regions(content, whole=whole, core=[2]))


@pytest.mark.parametrize("norm", ["group", "group_ws"])
def test_groups_must_divide_the_channels(content: dict[str, Any], norm: str) -> None:
    change(content, "network.encoder.0.layers.0.norm", norm)
    change(content, "network.encoder.0.layers.0.groups", 3)
    with pytest.raises(InputError, match="8 channels do not divide into 3 groups"):
        plan_from_dict(content)
