"""The documents say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from repomesh.kernel.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_generated_parts_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_that_the_prose_names_exists() -> None:
    known = {f"REPOMESH_{name.upper()}" for name in Settings.model_fields}
    known |= {"REPOMESH_URL", "REPOMESH_TOKEN", "REPOMESH_AGENT", "REPOMESH_TEST_POSTGRES"}
    known |= {"REPOMESH_TRACEBACK"}
    for page in PAGES:
        named = set(re.findall(r"REPOMESH_[A-Z_]+[A-Z]", page.read_text()))
        assert named <= known, f"{page.name} names {named - known}"


def test_every_make_target_that_the_prose_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", page.read_text(), re.MULTILINE))
        assert {one or other for one, other in named} <= targets, f"{page.name} names an unknown target"
