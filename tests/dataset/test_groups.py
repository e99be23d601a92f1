"""Groups of cases from a table, and folds that hold out whole groups."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.groups import folds_by_group, groups_of, table_groups, with_groups
from segkit.dataset.split import split_cases
from segkit.errors import InputError, UsageError


def dataset(*groups: str, patients: str = "") -> Dataset:
    cases = tuple(
        Case(
            f"c{i}",
            (Path(f"{i}.nii"),),
            Path(f"{i}l.nii"),
            group=group,
            patient=patients[i : i + 1],
        )
        for i, group in enumerate(groups)
    )
    return Dataset("d", Path("d"), ("MR",), {"organ": 1}, cases)


def held_out(data: Dataset, folds: int | None = None) -> list[list[str]]:
    count = len(data.folds())
    return [[case.id for case in split_cases(data, i, folds).validation] for i in range(count)]


def test_each_group_is_a_fold() -> None:
    data = folds_by_group(dataset("B", "A", "B", "C"))
    assert held_out(data) == [["c1"], ["c0", "c2"], ["c3"]]


def test_fewer_folds_than_groups_are_filled_evenly() -> None:
    data = folds_by_group(dataset("A", "A", "A", "B", "C", "C"), 2)
    assert held_out(data, 2) == [["c0", "c1", "c2"], ["c3", "c4", "c5"]]


def test_what_cannot_be_held_out() -> None:
    with pytest.raises(UsageError, match=r"folds=3 is not possible with folds_by=group.*2 groups"):
        folds_by_group(dataset("A", "B"), 3)
    with pytest.raises(InputError, match=r"two groups or more.*no group for c1.*dataset\.groups="):
        folds_by_group(dataset("A", ""))
    with pytest.raises(InputError, match=r"found one group, A"):
        folds_by_group(dataset("A", "A"))
    with pytest.raises(InputError, match=r"patient x in the groups A and B"):
        folds_by_group(dataset("A", "B", patients="xx"))
    assert held_out(folds_by_group(dataset("A", "B", "C", patients="xyz"))) == [
        ["c0"],
        ["c1"],
        ["c2"],
    ]


def test_cases_without_a_label_make_no_fold() -> None:
    data = dataset("A", "B", "C", "")
    labeled, unlabeled = data.cases[:2], data.cases[2:]
    bare = tuple(dataclasses.replace(case, label=None) for case in unlabeled)
    assert held_out(folds_by_group(dataclasses.replace(data, cases=labeled + bare))) == [
        ["c0"],
        ["c1"],
    ]


def test_groups_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("case,site\nc0,Bern\nc1,\nc9,Ulm\n")
    cases = dataset("", "", "").cases
    groups = groups_of(cases, str(table), "site", ())
    assert groups == {"c0": "Bern", "c1": ""}
    assert [case.group for case in with_groups(dataset("x", "x", "x"), groups).cases] == [
        "Bern",
        "",
        "",
    ]
    table.write_text("case,site\nc0,Bern\nc0,Ulm\n")
    with pytest.raises(InputError, match=r"one site for each case.*'Bern' and 'Ulm' for c0"):
        table_groups(table, "site")
    with pytest.raises(InputError, match=r"the columns case and group, found case, site"):
        table_groups(table, "group")
