"""Which p values are corrected together."""

from __future__ import annotations

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.correction import PlannedTest, corrected
from segkit.evaluation.signed_rank import holm


def test_each_table_is_corrected_for_its_own_tests() -> None:
    tests = [
        PlannedTest(label, metric, p)
        for metric, p_values in {
            "dice": (0.01, 0.03, 0.04),
            "iou": (0.02, 0.03, 0.01),
            "assd_mm": (0.001, None, 0.03),
        }.items()
        for label, p in zip(("liver", "spleen", MEAN), p_values, strict=True)
    ]
    found = {
        (test.metric, test.label): (one.p, one.together, one.tests)
        for test, one in zip(tests, corrected(tests), strict=True)
    }
    assert found == {
        ("dice", MEAN): (0.04, "main", 1),
        ("dice", "liver"): (0.02, "labels", 2),
        ("dice", "spleen"): (0.03, "labels", 2),
        ("iou", MEAN): (0.02, "other metrics", 2),
        ("assd_mm", MEAN): (0.03, "other metrics", 2),
        ("assd_mm", "liver"): (0.003, "labels of other metrics", 3),
        ("iou", "liver"): (0.04, "labels of other metrics", 3),
        ("iou", "spleen"): (0.04, "labels of other metrics", 3),
        ("assd_mm", "spleen"): (1.0, "labels of other metrics", 3),
    }


def test_of_a_single_label_its_dice_is_the_question_and_the_other_metrics_are_corrected() -> None:
    tests = [PlannedTest("liver", name, 0.02) for name in ("dice", "iou", "hd95_mm")]
    first, *others = corrected(tests)
    assert (first.p, first.together, first.tests) == (0.02, "main", 1)
    assert [(one.p, one.tests) for one in others] == [(p, 2) for p in holm([0.02, 0.02])]
