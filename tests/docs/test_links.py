"""Every relative link and anchor in the pages exists."""

from __future__ import annotations

import re

import pytest

from tools.pages import Page, anchor_of, pages, wrong_links


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_and_anchors_exist(page: Page) -> None:
    assert wrong_links(page) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_has_one_title(page: Page) -> None:
    titles = [line for line in page.prose.splitlines() if line.startswith("# ")]
    assert len(titles) == 1


def test_a_wrong_link_and_a_wrong_anchor_are_found() -> None:
    readme = next(page for page in pages() if page.name == "README.md")
    page = Page(
        readme.path, "# A title\n[no](docs/none.md) [no](#b) [yes](#a-title) [web](https://x)"
    )
    assert wrong_links(page) == ["docs/none.md", "#b"]


def test_anchors_are_those_of_github() -> None:
    assert anchor_of("`dataset.yaml`: names, and more") == "datasetyaml-names-and-more"


def test_lines_of_prose_are_at_most_100_columns_long() -> None:
    exempt = re.compile(
        r"[ *-]*([|!]|`[^`]{80,}`)"
    )  # tables, pictures, spans that cannot be broken
    long = [
        f"{page.name}: {line[:60]}"
        for page in pages()
        for line in page.prose.splitlines()
        if len(line) > 100 and not exempt.match(line)
    ]
    assert long == []
