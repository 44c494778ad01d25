"""Recall: what may answer a question, by its words, its age, its type and its tags, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repomesh.domains.overview import candidates, question_vectors, ranking
from repomesh.domains.overview.candidates import TextCandidate
from repomesh.domains.overview.excerpts import SnippetBuilder
from repomesh.domains.overview.ranking import RECALL_WEIGHTS, Hits, RankingWeights
from repomesh.domains.overview.rules import readable
from repomesh.domains.overview.search_models import EVERYTHING, Recall, RecallPage, RecallResult, What
from repomesh.domains.overview.stems import forms, stem
from repomesh.domains.sessions import rows as session_rows
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.rules import mark
from repomesh.kernel import limits
from repomesh.kernel.budget import cut, fair_share
from repomesh.kernel.operation import Get, Tool, query
from repomesh.kernel.words import words_of
from repomesh.store import searching
from repomesh.store.transaction import Transaction

_APART = 1_000  # words between matches of which nobody knows where they stand
_WHY_MIN = 0.01  # what counts less than this is not worth its words


@dataclass(frozen=True, slots=True)
class _Matches:
    """What holds each stem, and how much that says."""

    by_stem: Mapping[str, set[str]]
    rarities: Mapping[str, float]
    positions: Mapping[str, int]
    types: Mapping[str, What]


@query(
    "search.recall",
    http=Get("/v1/recall"),
    tool=Tool(
        "recall",
        "What is known about something, best first.",
        fields=("text", "what", "session_id", "max_chars"),
        read_only=True,
    ),
    scope="sessions:read",
    errors=(SessionNotFound,),
    prepare=question_vectors.prepare,
    searches=True,
)
def recall(tx: Transaction, request: Recall) -> RecallPage:
    """Remember what may answer a question, the best first, and say why each is here.

    Not every word needs to occur. Rare words, words of the title, newer things and those of the type and
    tags that you name count more. Only the newest matches of each word are looked at. Where embeddings are
    configured, memories that mean something like it come, too, whatever their words.
    """
    request = request.model_copy(update={"what": readable(tx.caller, request.what)})
    found = gathered(tx, request)
    best = scored(tx, found)[: request.limit]
    said = None if tx.settings.embeddings_url is None else found.without_meaning
    showing = SnippetBuilder(tx, ranking.StemMatcher(found.rarities))
    items = [_recalled(one, showing) for one in best]
    told = searching.notice(tx, request.text)
    return _fitted(RecallPage(items=items, notice=told, without_meaning=said), request.max_chars)


@dataclass(frozen=True, slots=True)
class RecallText:
    """A candidate, how many words it has, and where what is asked for stands among them and in its title."""

    candidate: TextCandidate
    length: int
    hits: Hits
    titled: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecallCandidates:
    """What may answer a question, and how much each stem of it says."""

    request: Recall
    texts: Sequence[RecallText]
    rarities: Mapping[str, float]
    near: Mapping[str, float]
    without_meaning: str | None
    asked_words: Mapping[str, str]
    """By stem, the word of the question."""


def gathered(tx: Transaction, request: Recall) -> RecallCandidates:
    """What holds the most of what says much, and what is near in meaning."""
    words = ranking.question_words(request.text, limits.RECALL_WORDS_MAX)
    matches = _matches(tx, request, {stem(word): forms(word) for word in words})
    chosen = _chosen(matches)
    near, without_meaning = question_vectors.near(tx, request)
    ids: dict[What, list[str]] = {}
    for id_ in chosen:
        ids.setdefault(matches.types[id_], []).append(id_)
    further = [id_ for id_ in near if id_ not in matches.positions]
    ids.setdefault("memory", []).extend(further)
    chosen += further
    there = candidates.read(tx, ids)
    kept = [there[id_] for id_ in chosen if id_ in there and _belongs(there[id_], request)]
    asked = ranking.StemMatcher(matches.rarities)
    texts = [_text(one, asked, matches) for one in kept]
    asked_words = {stem(word): word for word in reversed(words)}
    return RecallCandidates(request, texts, matches.rarities, near, without_meaning, asked_words)


def _text(candidate: TextCandidate, asked: ranking.StemMatcher, matches: _Matches) -> RecallText:
    words, fields = words_of(candidate.text), candidate.fields
    title = words_of(f"{fields['title']} {' '.join(fields['tags'])}")
    titled = frozenset(one for _, one in ranking.hits(title, asked))
    found = list(ranking.hits(words, asked))
    if candidate.is_cut:  # what its index knows of the rest stands somewhere further in
        seen = {one for _, one in found} | titled
        deep = [one for one, ids in matches.by_stem.items() if one not in seen and fields["id"] in ids]
        found += [(len(words) + _APART * count, one) for count, one in enumerate(deep, 1)]
    return RecallText(candidate, len(words), found, titled)


def _belongs(candidate: TextCandidate, request: Recall) -> bool:
    return request.session_id in (None, candidate.fields["session_id"])


def _matches(tx: Transaction, request: Recall, asked: Mapping[str, tuple[str, ...]]) -> _Matches:
    """The newest matches of each stem, and an estimate of how rare it is."""
    marks: list[str] = []
    if request.session_id is not None and not {"message", "task", "decision"} & set(request.what):
        marks = [mark("s", session_rows.find(tx, request.session_id).uid)]
    types = [what for what in EVERYTHING if what in request.what]
    by_stem: dict[str, set[str]] = {}
    positions: dict[str, int] = {}
    kinds: dict[str, What] = {}
    holding: dict[str, float] = {}
    newest = _newest(tx)
    for one, words in asked.items():
        found = tx.text_index.find(
            tx.connection, tx.workspace_id, types, [words, *marks], None, limits.RECALL_PER_WORD
        )
        by_stem[one] = {id_ for _, _, id_ in found}
        for position, what, id_ in found:
            positions.setdefault(id_, position)
            kinds[id_] = what  # type: ignore[assignment]
        # Of a common word only the newest are known; how densely they stand tells how many there are.
        span = newest - found[-1][0] + 1 if found else 1
        full = len(found) == limits.RECALL_PER_WORD
        holding[one] = len(found) * newest / span if full else float(len(found))
    total = max(float(newest), *holding.values(), 1.0) if holding else 1.0
    rarities = {one: ranking.rarity(total, count) for one, count in holding.items()}
    return _Matches(by_stem, rarities, positions, kinds)


def _newest(tx: Transaction) -> int:
    """The position of the newest document of all, as a measure of how many there are."""
    return tx.text_index.newest(tx.connection)


def _chosen(matches: _Matches) -> list[str]:
    """The candidates whose texts are worth reading: those that hold the most of what says much."""
    worth: defaultdict[str, float] = defaultdict(float)
    for one, ids in matches.by_stem.items():
        for id_ in ids:
            worth[id_] += matches.rarities[one]
    order = sorted(worth, key=lambda id_: (-worth[id_], -matches.positions[id_]))
    return order[: limits.RECALL_CANDIDATES_MAX]


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A candidate, what it is worth, and the parts of that in words."""

    candidate: TextCandidate
    parts: Mapping[str, float]
    score: float


def scored(
    tx: Transaction, gathered: RecallCandidates, weights: RankingWeights = RECALL_WEIGHTS
) -> list[ScoredText]:
    """The candidates, the best first."""
    request, texts, rarities = gathered.request, gathered.texts, gathered.rarities
    usual = sum(text.length for text in texts) / max(len(texts), 1)
    plain = [ranking.worth(text.hits, text.length, rarities, usual, weights) for text in texts]
    best = max(plain, default=0.0) or 1.0
    total = sum(rarities.values()) or 1.0
    judged = []
    for text, worth in zip(texts, plain, strict=True):
        fields = text.candidate.fields
        held = {one for _, one in text.hits}
        titled_worth = sum(map(rarities.__getitem__, text.titled)) / total
        parts = {
            f"holds {_in_words(held, gathered)}": worth / best,
            f"is titled {_in_words(text.titled, gathered)}": weights.title * titled_worth,
            "means something like it": weights.meaning * gathered.near.get(fields["id"], 0.0),
            "is recent": weights.recency * ranking.recency((tx.now - fields["at"]).total_seconds()),
            f"is of type {fields['type']}": weights.type * (request.type == fields["type"]),
        }
        parts |= {f"has the tag {tag}": weights.tag for tag in request.tags if tag in fields["tags"]}
        judged.append(ScoredText(text.candidate, parts, sum(parts.values())))
    return sorted(judged, key=lambda one: -one.score)


def _in_words(stems: Iterable[str], gathered: RecallCandidates) -> str:
    return ", ".join(sorted(gathered.asked_words[one] for one in stems))


def _recalled(one: ScoredText, showing: SnippetBuilder) -> RecallResult:
    """As it is shown."""
    weighty = sorted(one.parts.items(), key=lambda part: -part[1])
    why = [said for said, worth in weighty if worth >= _WHY_MIN]
    shown = showing.of(one.candidate)
    said = {"snippet": shown.snippet, "elsewhere": shown.elsewhere}
    return RecallResult(**one.candidate.fields, **said, score=round(one.score, 4), why=why)


def _fitted(whole: RecallPage, max_chars: int) -> RecallPage:
    """As much as fits: snippets are cut first, then the last items left out."""
    items = whole.items
    frame = _FRAME_CHARS + len(whole.without_meaning or "") + len(whole.notice or "")
    if len(whole.model_dump_json()) <= max_chars:
        return whole
    bare = [len(item.model_copy(update={"snippet": ""}).model_dump_json()) + 2 for item in items]
    count, used = 0, frame
    for size, item in zip(bare, items, strict=True):
        used += size + min(len(item.snippet), _SNIPPET_KEPT)
        if used > max_chars:
            break
        count += 1
    left = max_chars - frame - sum(bare[:count])
    share = fair_share([len(item.snippet) * 2 for item in items[:count]], left) if count else 0
    kept = [
        item.model_copy(update={"snippet": text, "truncated": len(text) < len(item.snippet)})
        for item in items[:count]
        for text in [cut(item.snippet, share)]
    ]
    missing = len(items) - count
    said = f"items left out: {missing}; raise max_chars" if missing else "texts cut; raise max_chars"
    return whole.model_copy(update={"items": kept, "omitted": said})


_FRAME_CHARS = 150  # of an answer around its items
_SNIPPET_KEPT = 80
