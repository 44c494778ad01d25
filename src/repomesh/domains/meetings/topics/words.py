"""Words as vectors: TF-IDF of words and of the letters in them, how alike texts are, and clusters of them.

The library takes a second or two to load and some 200 MB on disk, so it is an extra, loaded when it is first
needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from repomesh.domains.meetings.topics.errors import TopicsUnavailable

_LETTERS = (3, 4)  # n-grams inside words
_KEPT = 100  # strongest words, and as many n-grams, of one text: what is weaker changes nothing but the time
_COMMON = 0.3  # a word in more of the texts than this sets none of them apart
_COMMON_TEXTS_MAX = 500  # the same for many texts: each word makes pairs of all that hold it
_BLOCK_ROWS = 250  # compared with all others at once: only what is alike is kept, and others get their turn
_TERMS = 6
_STEP = 1.3  # by how much the cut of too large a heap is raised at a time


def read_words(texts: Sequence[str], words_share: float) -> WordVectors:
    """The vectors of some texts; raises TopicsUnavailable where the extra is not installed."""
    try:
        library = _Library(*map(import_module, _MODULES))
    except ImportError as error:
        raise TopicsUnavailable(f"what reads topics from texts is not installed: {error.name}") from error
    return WordVectors(library, texts, words_share)


@dataclass(frozen=True, slots=True)
class _Library:
    """The modules of the extra, in the order of `_MODULES`."""

    numpy: Any
    sparse: Any
    csgraph: Any
    cluster: Any
    text: Any


_MODULES = (
    "numpy",
    "scipy.sparse",
    "scipy.sparse.csgraph",
    "sklearn.cluster",
    "sklearn.feature_extraction.text",
)


class WordVectors:
    """The words of some texts: rows of unit length, of which the product is how alike two texts are."""

    def __init__(self, library: _Library, texts: Sequence[str], words_share: float) -> None:
        self._library = library
        text = library.text
        counter = text.CountVectorizer(stop_words=_stop_words(library), dtype=library.numpy.float32)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # no word in any of them
            counts, self._vocabulary = library.sparse.csr_matrix((len(texts), 1)), ["_"]
        else:
            self._vocabulary = list(counter.get_feature_names_out())
        # The n-grams of a text are those of its words, so each word is taken apart only once.
        letters = text.CountVectorizer(analyzer="char_wb", ngram_range=_LETTERS, dtype=library.numpy.float32)
        grams = counts @ letters.fit_transform(self._vocabulary)
        self._words = self._weighted(counts)
        parts = [self._words * words_share**0.5, self._weighted(grams) * (1 - words_share) ** 0.5]
        self._rows = library.sparse.hstack(parts, format="csr")

    def _weighted(self, counts: Any) -> Any:
        """TF-IDF of counts, without what is common, as rows of unit length."""
        library = self._library
        rows, columns = counts.shape
        held = library.numpy.bincount(counts.indices, minlength=columns)
        common = held > min(max(rows * _COMMON, 3), _COMMON_TEXTS_MAX)
        kept = library.sparse.diags_array(library.numpy.where(common, 0.0, 1.0), format="csr")
        weighted = library.text.TfidfTransformer(sublinear_tf=True).fit_transform(counts @ kept).tocsr()
        for row in range(rows):
            begin, end = weighted.indptr[row], weighted.indptr[row + 1]
            if end - begin > _KEPT:
                weak = library.numpy.argsort(-weighted.data[begin:end], kind="stable")[_KEPT:]
                weighted.data[begin + weak] = 0.0
        weighted.eliminate_zeros()
        return weighted

    def likeness(self, least: float) -> Any:
        """How alike each two texts are, from 0 to 1, where that is at least `least`."""
        size, sparse = self._rows.shape[0], self._library.sparse
        blocks = []
        for start in range(0, size, _BLOCK_ROWS):
            block = (self._rows[start : start + _BLOCK_ROWS] @ self._rows.T).tocoo()
            kept = (block.data >= least) & (block.row + start != block.col)
            places = block.row[kept], block.col[kept]
            blocks.append(sparse.csr_matrix((block.data[kept], places), shape=block.shape))
        return sparse.vstack(blocks, format="csr")

    def symmetric(self, size: int, pairs: Iterable[tuple[int, int, float]]) -> Any:
        """Further likeness of some pairs, as a matrix."""
        listed = list(pairs)
        first = [pair[0] for pair in listed] + [pair[1] for pair in listed]
        second = [pair[1] for pair in listed] + [pair[0] for pair in listed]
        worth = [pair[2] for pair in listed] * 2
        return self._library.sparse.csr_matrix((worth, (first, second)), shape=(size, size))

    def clusters(self, likeness: Any, least: float, size_max: int) -> Iterator[list[int]]:
        """Texts that are on average at least `least` alike, each in one cluster.

        Only heaps of at most `size_max` texts are compared each with each; larger ones are cut into such
        first, at the loosest likeness that does it.
        """
        for heap in self._heaps(likeness, list(range(likeness.shape[0])), least, size_max):
            if len(heap) == 1:
                yield heap
                continue
            dense = self._library.numpy.minimum(likeness[heap][:, heap].toarray(), 1.0)
            found = self._library.cluster.AgglomerativeClustering(
                n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1.0 - least
            ).fit(1.0 - dense)
            for label in range(found.n_clusters_):
                yield [heap[index] for index in self._library.numpy.flatnonzero(found.labels_ == label)]

    def _heaps(self, likeness: Any, members: list[int], cut: float, size_max: int) -> Iterator[list[int]]:
        part = likeness[members][:, members]
        part.data[part.data < cut] = 0.0
        part.eliminate_zeros()
        count, labels = self._library.csgraph.connected_components(part, directed=False)
        heaps: list[list[int]] = [[] for _ in range(count)]
        for member, label in zip(members, labels, strict=True):
            heaps[label].append(member)
        for heap in heaps:
            if len(heap) <= size_max:
                yield heap
            elif cut > 1.0:  # texts that are all the same: any part of them shows what they are
                yield from (heap[start : start + size_max] for start in range(0, len(heap), size_max))
            else:
                yield from self._heaps(likeness, heap, cut * _STEP, size_max)

    def terms(self, members: Sequence[int]) -> tuple[str, ...]:
        """The words that set some of the texts apart from the others, the strongest first."""
        weights = self._library.numpy.asarray(self._words[members].sum(axis=0)).ravel()
        strongest = self._library.numpy.argsort(-weights, kind="stable")[: 2 * _TERMS]
        terms = (self._vocabulary[index] for index in strongest if weights[index] > 0)
        return tuple(term for term in terms if not term.isdigit())[:_TERMS]


def _stop_words(library: _Library) -> list[str]:
    """English words that say nothing of what a text is about; what stays of "don't" and its like, too."""
    return sorted(
        {*library.text.ENGLISH_STOP_WORDS, "don", "ll", "ve", "re", "isn", "doesn", "won", "didn", "can"}
    )
