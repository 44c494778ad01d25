"""The work tree of the demo: a clone of the current repository, or a small one made for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_FILES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "Mira Okafor",
        "Begin with a greeting",
        {
            "README.md": "# greeter\n\nSays hello in several languages.\n",
            "greeter/__init__.py": '"""Says hello."""\n\nfrom greeter.words import greeting\n',
            "greeter/words.py": (
                '"""The words."""\n\nWORDS = {"en": "Hello", "fr": "Bonjour"}\n\n\n'
                "def greeting(name: str, language: str = 'en') -> str:\n"
                "    return f'{WORDS[language]}, {name}!'\n"
            ),
        },
    ),
    (
        "Jonas Weber",
        "Test it",
        {
            "tests/test_words.py": (
                "from greeter import greeting\n\n\ndef test_it_greets() -> None:\n"
                "    assert greeting('Ada', 'fr') == 'Bonjour, Ada!'\n"
            ),
        },
    ),
    ("Mira Okafor", "Say how to use it", {"docs/usage.md": "# Usage\n\n    greeting('Ada', 'fr')\n"}),
)


def prepare(source: Path | None, work: Path) -> str:
    """Put a repository with at least one commit at `work`; returns in words where it comes from."""
    if source is not None and _has_commits(source):
        git(source, "clone", "--quiet", "--shared", str(source), str(work))
        git(work, "checkout", "--quiet", "-B", "demo")
        return f"a clone of {source}"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch", "demo")
    for author, message, files in _FILES:
        for name, text in files.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text)
        identity = ("-c", f"user.name={author}", "-c", "user.email=author@example.org")
        git(work, "add", ".")
        git(work, *identity, "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", message)
    return "a small repository made for this"


def git(folder: Path, *words: str) -> str:
    """Run git in `folder` and return its output; raises CalledProcessError."""
    result = subprocess.run(  # noqa: S603 - our own words
        ["git", "-C", str(folder), *words],  # noqa: S607 - the user's git
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    )
    return result.stdout


def _has_commits(source: Path) -> bool:
    try:
        git(source, "rev-parse", "--verify", "--quiet", "HEAD")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False
    return True
