"""One search over conversation, memories, artifacts, messages, tasks and decisions, newest or best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

from repomesh.domains.agents.rows import recorded_name
from repomesh.domains.overview.searching import candidates, ranking
from repomesh.domains.overview.searching.candidates import TextCandidate
from repomesh.domains.overview.searching.excerpts import SnippetBuilder
from repomesh.domains.overview.searching.models import EVERYTHING, Search, SearchResult, What
from repomesh.domains.overview.task_context.rules import readable
from repomesh.domains.sessions import rows as session_rows
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.rules import mark
from repomesh.kernel import limits
from repomesh.kernel.budget import fit
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


@query(
    "search.find",
    http=Get("/v1/search"),
    scope="sessions:read",
    errors=(SessionNotFound,),
    expensive_read=True,
)
def search(tx: Transaction, request: Search) -> Page[SearchResult]:
    """Find what holds every word of `text` and meets the conditions, newest first.

    Without a word in `text` nothing is found, and `notice` says so.

    With `order` 'rank' the best of the newest 500 matches come, in one page. When few of very many matches
    meet the conditions, a page may be short; its cursor continues behind what was looked at.
    """
    request = request.model_copy(update={"what": readable(tx.caller, request.what)})
    if request.author is not None:
        request = request.model_copy(update={"author": recorded_name(tx, request.author)})
    words = search_words(request.text)
    uid = None if request.session_id is None else session_rows.find(tx, request.session_id).uid
    matches = _find_matches(tx, request, words, uid) if words else iter(())
    if request.order == "rank":
        return _rank_page(tx, request, words, matches)
    before = searching.position(request.cursor)
    found_candidates, next_cursor = _take_candidates(tx, request, matches, before, request.limit)
    return _build_page(tx, request, words, found_candidates, next_cursor)


def _find_matches(
    tx: Transaction, request: Search, words: Sequence[Word], uid: str | None
) -> Iterator[Match]:
    """Yield what holds the words, newest first; kinds with marks in the index are filtered by them there."""
    marks: list[str] = [] if uid is None else [mark("s", uid)]
    marks += [mark("t", tag) for tag in request.tags]
    if request.author is not None:
        marks.append(mark("a", request.author))
    before = searching.position(request.cursor)
    kinds = [kind for kind in EVERYTHING if kind in request.what]
    if request.session_id is not None:
        kinds = [kind for kind in kinds if kind not in _OF_NO_SESSION]
    marked = [kind for kind in kinds if kind in _MARKED]
    unmarked = [kind for kind in kinds if kind not in _MARKED]
    if request.type is not None and marked and _TYPED.issuperset(marked):
        marks.append(mark("y", request.type))
    if not marks:
        return _stream_matches(tx, kinds, words, before)
    streams = [
        _stream_matches(tx, stream_kinds, stream_words, before)
        for stream_kinds, stream_words in ((marked, [*words, *marks]), (unmarked, words))
        if stream_kinds
    ]
    return merge(*streams, key=lambda match: -match[0])


def _stream_matches(
    tx: Transaction, kinds: Sequence[What], words: Sequence[Word], before: int | None
) -> Iterator[Match]:
    count = limits.SEARCH_BLOCK_FIRST
    while True:
        block = tx.text_index.find(tx.connection, tx.workspace_id, kinds, words, before, count)
        yield from block  # type: ignore[misc]
        if len(block) < count:
            return
        before, count = block[-1][0], limits.TEXT_MATCHES_PER_READ


def _take_candidates(
    tx: Transaction, request: Search, matches: Iterator[Match], before: int | None, count_max: int
) -> tuple[list[tuple[int, TextCandidate]], str | None]:
    """Take up to `count_max` matches that meet the conditions, each once, and the cursor behind them."""
    found_candidates: list[tuple[int, TextCandidate]] = []
    seen_ids: set[str] = set()
    looked_at = 0
    while looked_at < limits.TEXT_MATCHES_PER_PAGE:
        count = limits.SEARCH_BLOCK_FIRST if looked_at == 0 else limits.TEXT_MATCHES_PER_READ
        block = [match for match, _ in zip(matches, range(count), strict=False)]
        if not block:
            return found_candidates, None
        looked_at += len(block)
        ids_by_kind: dict[What, list[str]] = {}
        for _, kind, id_ in block:
            ids_by_kind.setdefault(kind, []).append(id_)
        candidates_by_id = candidates.read(tx, ids_by_kind)
        for position, _, id_ in block:
            candidate = candidates_by_id.get(id_)
            if candidate is None or id_ in seen_ids or not _meets(candidate, request):
                continue
            if len(found_candidates) == count_max:
                return found_candidates, encode_cursor(found_candidates[-1][0])
            seen_ids.add(id_)
            found_candidates.append((position, candidate))
        before = block[-1][0]
    return found_candidates, encode_cursor(before)


def _meets(candidate: TextCandidate, request: Search) -> bool:
    at, author = candidate.fields["at"], candidate.fields["author"]
    if request.author is not None and author != request.author:
        return False
    if request.since is not None and at < request.since:
        return False
    if request.until is not None and at >= request.until:
        return False
    return candidates.meets(candidate, request)


def _rank_page(
    tx: Transaction, request: Search, words: Sequence[Word], matches: Iterator[Match]
) -> Page[SearchResult]:
    found_candidates, _ = _take_candidates(tx, request, matches, None, limits.SEARCH_RANKED_MAX)
    texts = [words_of(f"{candidate.fields['title']} {candidate.text}") for _, candidate in found_candidates]
    usual_length = sum(map(len, texts)) / max(len(texts), 1)
    rarities = dict.fromkeys(flatten_words(words), 1.0)
    matcher = ranking.StemMatcher(rarities)
    scores = [
        ranking.score_text(
            ranking.find_hits(text, matcher), len(text), rarities, usual_length, ranking.SEARCH_WEIGHTS
        )
        for text in texts
    ]
    order = sorted(
        range(len(found_candidates)), key=lambda index: (-scores[index], -found_candidates[index][0])
    )[: request.limit]
    return _build_page(tx, request, words, [found_candidates[index] for index in order], None)


def _build_page(
    tx: Transaction,
    request: Search,
    words: Sequence[Word],
    found_candidates: Sequence[tuple[int, TextCandidate]],
    next_cursor: str | None,
) -> Page[SearchResult]:
    snippet_builder = SnippetBuilder(tx, ranking.StemMatcher(flatten_words(words)))
    items = [candidate.as_result(snippet_builder.build(candidate)) for _, candidate in found_candidates]
    notice = searching.notice(tx, request.text)
    page = Page[SearchResult](items=items, next_cursor=next_cursor, notice=notice)
    return _fit_page(page, [position for position, _ in found_candidates], request)


def _fit_page(
    results_page: Page[SearchResult], index_positions: Sequence[int], request: Search
) -> Page[SearchResult]:
    if request.max_chars is None:
        return results_page

    def cursor_after(index: int) -> str:
        return encode_cursor(index_positions[index])

    short_page = fit(results_page, request.max_chars, cursor_after, "snippet")
    return short_page if request.order == "newest" else short_page.model_copy(update={"next_cursor": None})
