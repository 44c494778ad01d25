"""The terminal sessions of the documents show what a terminal shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import consoles

ROOT = Path(__file__).parents[2]
EVERY = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in EVERY if "```console" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_page_shows_what_the_terminal_shows(page: Path, tmp_path: Path) -> None:
    steps = [step for block in consoles.stories(page.read_text()) for step in block]
    for step, shown in zip(steps, consoles.play(page, tmp_path), strict=True):
        assert not consoles.differs(step.expected, shown), f"$ {step.command}\n{shown}"


def test_there_are_pages() -> None:
    assert len(PAGES) >= 4


@pytest.mark.parametrize(
    ("expected", "shown", "differs"),
    [
        (["a … c"], "a b c", False),
        (["a … c"], "a b\nc", True),
        (["a", "…", "d"], "a\nb\nc\nd", False),
        (["a"], "a\nb", True),
        ([], "", False),
        ([], "x", True),
        (["a.b"], "axb", True),
    ],
)
def test_a_sign_stands_for_anything_in_its_line(expected: list[str], shown: str, *, differs: bool) -> None:
    assert consoles.differs(expected, shown) == differs
