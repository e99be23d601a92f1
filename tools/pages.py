"""Read the Markdown pages of the repository: code blocks, code spans, links and anchors."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """Markdown file of the documentation."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Path relative to the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """Language and content of every fenced code block."""
        return _FENCE.findall(self.text)

    @cached_property
    def prose(self) -> str:
        """Text without fenced code blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def spans(self) -> list[str]:
        """Content of every code span, with line breaks replaced by a space."""
        return [" ".join(span.replace("\\|", "|").split()) for span in _SPAN.findall(self.prose)]

    @cached_property
    def links(self) -> list[str]:
        """Targets of all links and pictures."""
        return _LINK.findall(_SPAN.sub("", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """Anchors of the headings, as GitHub makes them."""
        count: Counter[str] = Counter()
        anchors = set()
        for heading in _HEADING.findall(self.prose):
            anchor = anchor_of(heading)
            anchors.add(f"{anchor}-{count[anchor]}" if count[anchor] else anchor)
            count[anchor] += 1
        return anchors


def anchor_of(heading: str) -> str:
    """Return the anchor of a heading.

    >>> anchor_of("What `segkit check` finds: all of it")
    'what-segkit-check-finds-all-of-it'
    """
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def pages(root: Path = ROOT) -> list[Page]:
    """Return the Markdown pages of the repository, sorted by path."""
    # Not everything below the root, because data/ and environments may hold pages of others.
    paths = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    paths += [root / folder / "README.md" for folder in ("data", "docker")]
    return [Page(path, path.read_text(encoding="utf-8")) for path in sorted(paths)]


def wrong_links(page: Page) -> list[str]:
    """Return the relative links of a page whose file or anchor does not exist."""
    return [
        link
        for link in page.links
        if not re.match(r"[a-z]+:", link) and not _exists(page, *link.partition("#")[::2])
    ]


def _exists(page: Page, file: str, anchor: str) -> bool:
    if not file:
        return anchor in page.anchors
    target = (page.path.parent / file).resolve()
    if not anchor or not target.exists():
        return target.exists()
    return anchor in Page(target, target.read_text(encoding="utf-8")).anchors
