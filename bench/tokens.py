"""Counts the tokens of a text with a published vocabulary, `o200k_base`.

No vendor publishes the tokenizer of each model; this one stands for all of them, and a ratio of two counts
differs little from one tokenizer to the next. The library fetches vocabularies from a place that not every
machine reaches; the npm package `js-tiktoken` carries the same one in its archive.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Final

import tiktoken

_PACKAGE: Final = "js-tiktoken"
_VERSION: Final = "1.0.21"
_VOCABULARY: Final = "package/dist/ranks/o200k_base.cjs"
_FETCH_S: Final = 120


def count(text: str) -> int:
    """The tokens of a text; what looks like a special token is text, too."""
    return len(_encoding().encode(text, disallowed_special=()))


@cache
def _encoding() -> tiktoken.Encoding:
    found = json.loads(_vocabulary().read_text().strip().removeprefix("module.exports = ").rstrip(";"))
    ranks: dict[bytes, int] = {}
    for line in found["bpe_ranks"].splitlines():  # "! FIRST TOKEN TOKEN …", each token in base64
        _mark, first, *tokens = line.split(" ")
        ranks |= {base64.b64decode(token): int(first) + index for index, token in enumerate(tokens)}
    return tiktoken.Encoding(
        "o200k_base", pat_str=found["pat_str"], mergeable_ranks=ranks, special_tokens=found["special_tokens"]
    )


def _vocabulary() -> Path:
    """The vocabulary's file, fetched on first use."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "repomesh/tokens"
    file = folder / f"o200k_base-{_VERSION}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "pack", f"{_PACKAGE}@{_VERSION}", "--silent", "--pack-destination", str(folder)]
        subprocess.run(fetch, check=True, timeout=_FETCH_S, capture_output=True)
        with tarfile.open(folder / f"{_PACKAGE}-{_VERSION}.tgz") as archive:
            member = archive.extractfile(_VOCABULARY)
            assert member is not None, f"{_PACKAGE} {_VERSION} has no {_VOCABULARY}"
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_bytes(member.read())
            draft.replace(file)
    return file
