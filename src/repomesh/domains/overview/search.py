"""One search over conversation, memories, artifacts, messages, tasks and decisions, newest or best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

from repomesh.domains.agents.rows import as_recorded
from repomesh.domains.overview import candidates, ranking
from repomesh.domains.overview.candidates import TextCandidate
from repomesh.domains.overview.excerpts import SnippetBuilder
from repomesh.domains.overview.rules import readable
from repomesh.domains.overview.search_models import EVERYTHING, Search, SearchResult, What
from repomesh.domains.sessions import rows as session_rows
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.rules import mark
from repomesh.kernel import limits
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.operation import Get, query
from repomesh.kernel.words import Word, flatten_words, words_of
from repomesh.store import searching
from repomesh.store.base import search_words
from repomesh.store.transaction import Transaction

_MARKED: frozenset[What] = frozenset({"chunk", "memory", "artifact"})
_TYPED: frozenset[What] = frozenset({"memory", "artifact"})
_OF_NO_SESSION: frozenset[What] = frozenset({"message", "decision"})

Match = tuple[int, What, str]
"""(position in the index, what it is, its id)."""


@query("search.find", http=Get("/v1/search"), scope="sessions:read", errors=(SessionNotFound,), searches=True)
def search(tx: Transaction, request: Search) -> Page[SearchResult]:
    """Find what holds every word of `text` and meets the conditions, newest first.

    Without a word in `text` nothing is found, and `notice` says so.

    With `order` 'rank' the best of the newest 500 matches come, in one page. When few of very many matches
    meet the conditions a page may be short; its cursor goes on behind what was looked at.
    """
    request = request.model_copy(update={"what": readable(tx.caller, request.what)})
    if request.author is not None:
        request = request.model_copy(update={"author": as_recorded(tx, request.author)})
    words = search_words(request.text)
    uid = None if request.session_id is None else session_rows.find(tx, request.session_id).uid
    matches = _matches(tx, request, words, uid) if words else iter(())
    if request.order == "rank":
        return _ranked(tx, request, words, matches)
    before = searching.position(request.cursor)
    found, following = _take(tx, request, matches, before, request.limit)
    return _page(tx, request, words, found, following)


def _matches(tx: Transaction, request: Search, words: Sequence[Word], uid: str | None) -> Iterator[Match]:
    """What holds the words, newest first. What has marks in the index is narrowed by them there."""
    marks: list[str] = [] if uid is None else [mark("s", uid)]
    marks += [mark("t", tag) for tag in request.tags]
    if request.author is not None:
        marks.append(mark("a", request.author))
    before = searching.position(request.cursor)
    asked = [what for what in EVERYTHING if what in request.what]
    if request.session_id is not None:
        asked = [what for what in asked if what not in _OF_NO_SESSION]
    marked = [what for what in asked if what in _MARKED]
    rest = [what for what in asked if what not in _MARKED]
    if request.type is not None and marked and _TYPED.issuperset(marked):
        marks.append(mark("y", request.type))
    if not marks:
        return _stream(tx, asked, words, before)
    streams = [
        _stream(tx, some, also, before) for some, also in ((marked, [*words, *marks]), (rest, words)) if some
    ]
    return merge(*streams, key=lambda match: -match[0])


def _stream(
    tx: Transaction, types: Sequence[What], words: Sequence[Word], before: int | None
) -> Iterator[Match]:
    count = limits.SEARCH_BLOCK_FIRST
    while True:
        block = tx.text_index.find(tx.connection, tx.workspace_id, types, words, before, count)
        yield from block  # type: ignore[misc]
        if len(block) < count:
            return
        before, count = block[-1][0], limits.TEXT_MATCHES_PER_READ


def _take(
    tx: Transaction, request: Search, matches: Iterator[Match], before: int | None, most: int
) -> tuple[list[tuple[int, TextCandidate]], str | None]:
    """Up to `most` of the matches that meet the conditions, each once, and the cursor behind them."""
    found: list[tuple[int, TextCandidate]] = []
    seen: set[str] = set()
    looked_at = 0
    while looked_at < limits.TEXT_MATCHES_PER_PAGE:
        count = limits.SEARCH_BLOCK_FIRST if looked_at == 0 else limits.TEXT_MATCHES_PER_READ
        block = [match for match, _ in zip(matches, range(count), strict=False)]
        if not block:
            return found, None
        looked_at += len(block)
        ids: dict[What, list[str]] = {}
        for _, what, id_ in block:
            ids.setdefault(what, []).append(id_)
        there = candidates.read(tx, ids)
        for position, _, id_ in block:
            candidate = there.get(id_)
            if candidate is None or id_ in seen or not _meets(candidate, request):
                continue
            if len(found) == most:
                return found, encode_cursor(found[-1][0])
            seen.add(id_)
            found.append((position, candidate))
        before = block[-1][0]
    return found, encode_cursor(before)


def _meets(candidate: TextCandidate, request: Search) -> bool:
    at, author = candidate.fields["at"], candidate.fields["author"]
    if request.author is not None and author != request.author:
        return False
    if request.since is not None and at < request.since:
        return False
    if request.until is not None and at >= request.until:
        return False
    return candidates.meets(candidate, request)


def _ranked(
    tx: Transaction, request: Search, words: Sequence[Word], matches: Iterator[Match]
) -> Page[SearchResult]:
    found, _ = _take(tx, request, matches, None, limits.SEARCH_RANKED_MAX)
    texts = [words_of(f"{candidate.fields['title']} {candidate.text}") for _, candidate in found]
    usual = sum(map(len, texts)) / max(len(texts), 1)
    rarities = dict.fromkeys(flatten_words(words), 1.0)
    asked = ranking.StemMatcher(rarities)
    scores = [
        ranking.worth(ranking.hits(text, asked), len(text), rarities, usual, ranking.SEARCH_WEIGHTS)
        for text in texts
    ]
    order = sorted(range(len(found)), key=lambda index: (-scores[index], -found[index][0]))[: request.limit]
    return _page(tx, request, words, [found[index] for index in order], None)


def _page(
    tx: Transaction,
    request: Search,
    words: Sequence[Word],
    found: Sequence[tuple[int, TextCandidate]],
    following: str | None,
) -> Page[SearchResult]:
    showing = SnippetBuilder(tx, ranking.StemMatcher(flatten_words(words)))
    items = [candidate.found(showing.of(candidate)) for _, candidate in found]
    told = searching.notice(tx, request.text)
    page = Page[SearchResult](items=items, next_cursor=following, notice=told)
    return _fitted(page, [position for position, _ in found], request)


def _fitted(found: Page[SearchResult], places: Sequence[int], request: Search) -> Page[SearchResult]:
    if request.max_chars is None:
        return found
    start = request.cursor or searching.BEFORE_ALL
    positions = PageEnds(lambda index: encode_cursor(places[index]), start)
    short = fit(found, request.max_chars, positions, "snippet")
    return short if request.order == "newest" else short.model_copy(update={"next_cursor": None})
