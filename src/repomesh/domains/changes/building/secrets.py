"""Looks for secrets in what a change adds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from repomesh.kernel import limits

# Not those that guess by randomness or by names: of a hundred hits of theirs in code, few are secrets.
_GUESSING = ("Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector", "IPPublicDetector")

_LINES_KEPT = 4_096  # of one change's lines the queue asks at least twice: submitted, and as it lands


def find_secrets(added: Iterable[tuple[str, int, str]]) -> list[str]:
    """The places, as 'PATH:LINE (what)', at which added lines (path, number, text) look like secrets.

    By the detectors of detect-secrets that know what they look for; at most SECRETS_SHOWN_MAX places.
    """
    places: list[str] = []
    for path, number, text in added:
        if len(text) > limits.SECRET_LINE_CHARS_MAX:
            continue  # minified code; and the detectors' expressions are not linear
        type_ = _secret_type(text)
        if type_ is not None:
            places.append(f"{path}:{number} ({type_})")
            if len(places) >= limits.SECRETS_SHOWN_MAX:
                break
    return places


@lru_cache(maxsize=_LINES_KEPT)
def _secret_type(text: str) -> str | None:
    """What kind of secret a line looks like; None for none."""
    for detector in _detectors():
        if any(detector.analyze_string(text)):
            return str(detector.secret_type)
    return None


@lru_cache(maxsize=1)
def _detectors() -> tuple[Any, ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    return tuple(detector() for detector in classes if detector.__name__ not in _GUESSING)
