"""Recall: ranks what may answer a question by words, meaning, age, type and tags, and says why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repomesh.domains.overview.searching import candidates, question_vectors, ranking
from repomesh.domains.overview.searching.candidates import TextCandidate
from repomesh.domains.overview.searching.excerpts import SnippetBuilder
from repomesh.domains.overview.searching.models import EVERYTHING, Recall, RecallPage, RecallResult, What
from repomesh.domains.overview.searching.ranking import RECALL_WEIGHTS, Hits, RankingWeights
from repomesh.domains.overview.searching.stems import forms, stem
from repomesh.domains.overview.task_context.rules import readable
from repomesh.domains.sessions import rows as session_rows
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.rules import mark
from repomesh.kernel import limits
from repomesh.kernel.budget import cut, fair_share
from repomesh.kernel.operation import Get, Tool, query
from repomesh.kernel.words import words_of
from repomesh.store import searching
from repomesh.store.transaction import Transaction

_UNKNOWN_DISTANCE = 1_000  # in words, between matches whose places are not known
_WHY_MIN = 0.01  # a part of the score below this is not mentioned


@dataclass(frozen=True, slots=True)
class _Matches:
    """The ids that hold each stem, and the rarity of each stem."""

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
    expensive_read=True,
)
def recall(tx: Transaction, request: Recall) -> RecallPage:
    """Find what may answer a question, best first, with the reasons for each result.

    Not every word needs to occur. Rare words, words of the title, newer results, and results of the type and
    tags that you name count more. Only the newest matches of each word are looked at. Where embeddings are
    configured, memories of a similar meaning are found, too, whatever their words.
    """
    request = request.model_copy(update={"what": readable(tx.caller, request.what)})
    recall_candidates = gather(tx, request)
    best_texts = score(tx, recall_candidates)[: request.limit]
    without_meaning = None if tx.settings.embeddings_url is None else recall_candidates.without_meaning
    snippet_builder = SnippetBuilder(tx, ranking.StemMatcher(recall_candidates.rarities))
    items = [_as_result(scored_text, snippet_builder) for scored_text in best_texts]
    notice = searching.notice(tx, request.text)
    return _fit_page(
        RecallPage(items=items, notice=notice, without_meaning=without_meaning), request.max_chars
    )


@dataclass(frozen=True, slots=True)
class RecallText:
    """A candidate, the count of its words, its hits among them, and the stems that its title holds."""

    candidate: TextCandidate
    length: int
    hits: Hits
    titled: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecallCandidates:
    """The texts that may answer a question, and the rarity of each of its stems."""

    request: Recall
    texts: Sequence[RecallText]
    rarities: Mapping[str, float]
    near: Mapping[str, float]
    without_meaning: str | None
    asked_words: Mapping[str, str]
    """By stem, the word of the question."""


def gather(tx: Transaction, request: Recall) -> RecallCandidates:
    """Read the texts that hold the rarest words of a question, and the memories near to it in meaning."""
    words = ranking.question_words(request.text, limits.RECALL_WORDS_MAX)
    stem_matches = _find_matches(tx, request, {stem(word): forms(word) for word in words})
    candidate_ids = _select_candidate_ids(stem_matches)
    near_figures, without_meaning = question_vectors.near(tx, request)
    ids_by_kind: dict[What, list[str]] = {}
    for id_ in candidate_ids:
        ids_by_kind.setdefault(stem_matches.types[id_], []).append(id_)
    near_ids = [id_ for id_ in near_figures if id_ not in stem_matches.positions]
    ids_by_kind.setdefault("memory", []).extend(near_ids)
    candidate_ids += near_ids
    candidates_by_id = candidates.read(tx, ids_by_kind)
    kept_candidates = [
        candidates_by_id[id_]
        for id_ in candidate_ids
        if id_ in candidates_by_id and _is_of_session(candidates_by_id[id_], request)
    ]
    matcher = ranking.StemMatcher(stem_matches.rarities)
    texts = [_locate_hits(candidate, matcher, stem_matches) for candidate in kept_candidates]
    asked_words = {stem(word): word for word in reversed(words)}
    return RecallCandidates(request, texts, stem_matches.rarities, near_figures, without_meaning, asked_words)


def _locate_hits(candidate: TextCandidate, matcher: ranking.StemMatcher, matches: _Matches) -> RecallText:
    words, fields = words_of(candidate.text), candidate.fields
    title = words_of(f"{fields['title']} {' '.join(fields['tags'])}")
    title_stems = frozenset(hit_stem for _, hit_stem in ranking.find_hits(title, matcher))
    hits = list(ranking.find_hits(words, matcher))
    if candidate.is_cut:  # the index knows more stems of it, which stand somewhere further in
        shown_stems = {hit_stem for _, hit_stem in hits} | title_stems
        deep_stems = [
            hit_stem
            for hit_stem, ids in matches.by_stem.items()
            if hit_stem not in shown_stems and fields["id"] in ids
        ]
        hits += [
            (len(words) + _UNKNOWN_DISTANCE * count, hit_stem) for count, hit_stem in enumerate(deep_stems, 1)
        ]
    return RecallText(candidate, len(words), hits, title_stems)


def _is_of_session(candidate: TextCandidate, request: Recall) -> bool:
    return request.session_id in (None, candidate.fields["session_id"])


def _find_matches(tx: Transaction, request: Recall, forms_by_stem: Mapping[str, tuple[str, ...]]) -> _Matches:
    """Find the newest matches of each stem, and estimate its rarity."""
    marks: list[str] = []
    if request.session_id is not None and not {"message", "task", "decision"} & set(request.what):
        marks = [mark("s", session_rows.find(tx, request.session_id).uid)]
    kinds = [kind for kind in EVERYTHING if kind in request.what]
    by_stem: dict[str, set[str]] = {}
    positions: dict[str, int] = {}
    kinds_by_id: dict[str, What] = {}
    counts_by_stem: dict[str, float] = {}
    newest_position = tx.text_index.newest(tx.connection)  # an estimate of how many documents there are
    for question_stem, words in forms_by_stem.items():
        matches = tx.text_index.find(
            tx.connection, tx.workspace_id, kinds, [words, *marks], None, limits.RECALL_PER_WORD
        )
        by_stem[question_stem] = {id_ for _, _, id_ in matches}
        for position, kind, id_ in matches:
            positions.setdefault(id_, position)
            kinds_by_id[id_] = kind  # type: ignore[assignment]
        # Of a common word only the newest matches are read; their density gives an estimate of all.
        span = newest_position - matches[-1][0] + 1 if matches else 1
        is_cut = len(matches) == limits.RECALL_PER_WORD
        counts_by_stem[question_stem] = (
            len(matches) * newest_position / span if is_cut else float(len(matches))
        )
    total = max(float(newest_position), *counts_by_stem.values(), 1.0) if counts_by_stem else 1.0
    rarities = {
        question_stem: ranking.rarity(total, count) for question_stem, count in counts_by_stem.items()
    }
    return _Matches(by_stem, rarities, positions, kinds_by_id)


def _select_candidate_ids(matches: _Matches) -> list[str]:
    """The ids of the candidates whose texts are read: those with the highest sum of rarities."""
    worth_by_id: defaultdict[str, float] = defaultdict(float)
    for question_stem, ids in matches.by_stem.items():
        for id_ in ids:
            worth_by_id[id_] += matches.rarities[question_stem]
    ordered_ids = sorted(worth_by_id, key=lambda id_: (-worth_by_id[id_], -matches.positions[id_]))
    return ordered_ids[: limits.RECALL_CANDIDATES_MAX]


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A candidate, its score, and the parts of the score by their descriptions."""

    candidate: TextCandidate
    parts: Mapping[str, float]
    score: float


def score(
    tx: Transaction, recall_candidates: RecallCandidates, weights: RankingWeights = RECALL_WEIGHTS
) -> list[ScoredText]:
    """Score the candidates; returns them the best first."""
    request, texts, rarities = recall_candidates.request, recall_candidates.texts, recall_candidates.rarities
    usual_length = sum(text.length for text in texts) / max(len(texts), 1)
    word_scores = [
        ranking.score_text(text.hits, text.length, rarities, usual_length, weights) for text in texts
    ]
    best_score = max(word_scores, default=0.0) or 1.0
    total_rarity = sum(rarities.values()) or 1.0
    scored_texts = []
    for text, word_score in zip(texts, word_scores, strict=True):
        fields = text.candidate.fields
        held_stems = {hit_stem for _, hit_stem in text.hits}
        titled_worth = sum(map(rarities.__getitem__, text.titled)) / total_rarity
        parts = {
            f"holds {_as_question_words(held_stems, recall_candidates)}": word_score / best_score,
            f"is titled {_as_question_words(text.titled, recall_candidates)}": weights.title * titled_worth,
            "means something like it": weights.meaning * recall_candidates.near.get(fields["id"], 0.0),
            "is recent": weights.recency * ranking.recency((tx.now - fields["at"]).total_seconds()),
            f"is of type {fields['type']}": weights.type * (request.type == fields["type"]),
        }
        parts |= {f"has the tag {tag}": weights.tag for tag in request.tags if tag in fields["tags"]}
        scored_texts.append(ScoredText(text.candidate, parts, sum(parts.values())))
    return sorted(scored_texts, key=lambda scored_text: -scored_text.score)


def _as_question_words(stems: Iterable[str], recall_candidates: RecallCandidates) -> str:
    return ", ".join(sorted(recall_candidates.asked_words[question_stem] for question_stem in stems))


def _as_result(scored_text: ScoredText, snippet_builder: SnippetBuilder) -> RecallResult:
    sorted_parts = sorted(scored_text.parts.items(), key=lambda part: -part[1])
    why = [description for description, part_score in sorted_parts if part_score >= _WHY_MIN]
    excerpt = snippet_builder.build(scored_text.candidate)
    return RecallResult(
        **scored_text.candidate.fields,
        snippet=excerpt.snippet,
        elsewhere=excerpt.elsewhere,
        score=round(scored_text.score, 4),
        why=why,
    )


def _fit_page(recall_page: RecallPage, max_chars: int) -> RecallPage:
    """Fit a page into `max_chars`: snippets are cut first, then the last items left out."""
    items = recall_page.items
    frame_chars = _FRAME_CHARS + len(recall_page.without_meaning or "") + len(recall_page.notice or "")
    if len(recall_page.model_dump_json()) <= max_chars:
        return recall_page
    bare_sizes = [len(item.model_copy(update={"snippet": ""}).model_dump_json()) + 2 for item in items]
    count, chars_used = 0, frame_chars
    for size, item in zip(bare_sizes, items, strict=True):
        chars_used += size + min(len(item.snippet), _SNIPPET_CHARS_KEPT)
        if chars_used > max_chars:
            break
        count += 1
    chars_left = max_chars - frame_chars - sum(bare_sizes[:count])
    share = fair_share([len(item.snippet) * 2 for item in items[:count]], chars_left) if count else 0
    kept_items = [
        item.model_copy(update={"snippet": text, "truncated": len(text) < len(item.snippet)})
        for item in items[:count]
        for text in [cut(item.snippet, share)]
    ]
    missing_count = len(items) - count
    omitted = (
        f"items left out: {missing_count}; raise max_chars" if missing_count else "texts cut; raise max_chars"
    )
    return recall_page.model_copy(update={"items": kept_items, "omitted": omitted})


_FRAME_CHARS = 150  # of an answer around its items
_SNIPPET_CHARS_KEPT = 80
