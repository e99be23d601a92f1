"""The log of decisions stays short, and the glossary in order."""

from __future__ import annotations

import re

from tools.pages import ROOT

DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def test_decisions_are_at_most_40_without_gaps_and_of_three_lines() -> None:
    entries = re.findall(r"^(\d+)\. (.*(?:\n {3,4}\S.*)*)", DECISIONS, re.MULTILINE)
    assert [int(number) for number, _ in entries] == list(range(1, len(entries) + 1))
    assert len(entries) <= 40
    assert [number for number, text in entries if text.count("\n") > 2] == []


def test_glossary_is_in_alphabetical_order() -> None:
    terms = re.findall(r"^### (.*)$", GLOSSARY, re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    assert {"Case", "Fingerprint", "Plan", "Bundle", "Fold", "Patch", "Window"} <= set(terms)
