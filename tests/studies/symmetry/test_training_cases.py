"""Training cases of the arms: nested, the same in all arms, of whole patients first."""

from __future__ import annotations

from pathlib import Path

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.split import Split, split_cases
from segkit.studies.symmetry.training_cases import first_cases, with_cases


def dataset() -> Dataset:
    cases = tuple(
        Case(f"c{number:02}", (), Path("label"), patient=f"p{number // 2}") for number in range(20)
    )
    return Dataset("d", Path("d"), ("a",), {"x": 1}, cases)


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.id for case in cases]


def test_fewer_cases_are_among_more_cases_and_another_seed_takes_others() -> None:
    split = split_cases(dataset(), 0)
    few, more = first_cases(split, 4, 0), first_cases(split, 9, 0)
    assert ids(more)[:4] == ids(few)
    assert ids(first_cases(split, 4, 1)) != ids(few)
    turned = Split(tuple(reversed(split.training)), split.validation)
    assert first_cases(turned, 4, 0) == few
    assert len({case.patient for case in few}) == 2


def test_a_dataset_of_fewer_cases_keeps_the_validation_cases_in_its_first_fold() -> None:
    whole = dataset()
    split = split_cases(whole, 3)
    chosen = first_cases(split, 3, 0)
    cut = split_cases(with_cases(whole, split, chosen), 0)
    assert ids(cut.validation) == ids(split.validation)
    assert sorted(ids(cut.training)) == sorted(ids(chosen))
    assert {case.split for case in whole.cases} == {""}
