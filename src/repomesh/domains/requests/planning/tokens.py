"""Token counts of texts: by tiktoken where it is installed with its vocabulary, else estimated.

tiktoken would download its vocabulary. So it is used only where TIKTOKEN_CACHE_DIR holds it already.

The estimate is one token for four characters, rounded up: the rule of thumb of OpenAI's documentation
("What are tokens and how to count them?").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from repomesh.domains.requests.planning.models import TokenMethod
from repomesh.kernel import limits

_CHARS_PER_TOKEN = 4
_ENCODED_CHARS = 100_000  # encoded at once; long runs of one character take tiktoken quadratic time
_ENCODING = "o200k_base"
_URL = (
    "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"  # names its file in the cache
)


TokenCounter = Callable[[str], int]


def counter(files: int) -> tuple[TokenMethod, TokenCounter]:
    """Return how the tokens of so many files are counted, and the function that counts those of a text."""
    encoding = _encoding() if files <= limits.PLAN_EXACT_TOKENS_FILES_MAX else None
    if encoding is None:
        return "characters/4", estimate
    return "tiktoken/o200k_base", partial(_count_encoded, encoding)


def estimate(text: str) -> int:
    """Return the estimate of one token for four characters."""
    return -(-len(text) // _CHARS_PER_TOKEN)


def _count_encoded(encoding: Any, text: str) -> int:
    parts = (text[start : start + _ENCODED_CHARS] for start in range(0, len(text), _ENCODED_CHARS))
    return sum(len(encoding.encode_ordinary(part)) for part in parts)


@lru_cache(maxsize=1)
def _encoding() -> Any | None:
    """Return tiktoken's encoding; None where it would have to be downloaded."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    if not folder or not (Path(folder) / hashlib.sha1(_URL.encode()).hexdigest()).is_file():  # noqa: S324
        return None
    try:
        import tiktoken

        return tiktoken.get_encoding(_ENCODING)
    except (ImportError, OSError, ValueError):
        return None
