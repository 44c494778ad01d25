"""TF-IDF vectors of texts, by words and by letter n-grams: similarity and clusters of texts.

scikit-learn takes a second or two to load and some 200 MB on disk, so it is an extra, loaded on first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from repomesh.domains.meetings.topics.errors import TopicsUnavailable

_LETTERS = (3, 4)  # n-grams inside words
_STRONGEST_MAX = (
    100  # strongest words, and as many n-grams, of one text: what is weaker changes nothing but the time
)
_COMMON = 0.3  # a word in more of the texts than this sets none of them apart
_COMMON_TEXTS_MAX = 500  # the same for many texts: each word makes pairs of all that hold it
_BLOCK_ROWS = 250  # compared with all others at once: only what is alike is kept, and others get their turn
_TERMS = 6
_STEP = 1.3  # by how much the cut of too large a heap is raised at a time


def read_words(texts: Sequence[str], words_share: float) -> WordVectors:
    """Vectors of texts; `words_share`, from 0 to 1, is the weight of whole words beside letter n-grams.

    Raises TopicsUnavailable where the extra is not installed.
    """
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
    """One row of unit length for each text; the product of two rows is the likeness of the texts, 0 to 1."""

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
        self._words = self._weigh_terms(counts)
        parts = [self._words * words_share**0.5, self._weigh_terms(grams) * (1 - words_share) ** 0.5]
        self._rows = library.sparse.hstack(parts, format="csr")

    def _weigh_terms(self, counts: Any) -> Any:
        """TF-IDF of counts without common terms, the strongest of each text, as rows of unit length."""
        library = self._library
        rows, columns = counts.shape
        texts_with_term = library.numpy.bincount(counts.indices, minlength=columns)
        common = texts_with_term > min(max(rows * _COMMON, 3), _COMMON_TEXTS_MAX)
        mask = library.sparse.diags_array(library.numpy.where(common, 0.0, 1.0), format="csr")
        weighted = library.text.TfidfTransformer(sublinear_tf=True).fit_transform(counts @ mask).tocsr()
        for row in range(rows):
            begin, end = weighted.indptr[row], weighted.indptr[row + 1]
            if end - begin > _STRONGEST_MAX:
                weak = library.numpy.argsort(-weighted.data[begin:end], kind="stable")[_STRONGEST_MAX:]
                weighted.data[begin + weak] = 0.0
        weighted.eliminate_zeros()
        return weighted

    def likeness(self, least: float) -> Any:
        """A sparse matrix of the likeness of each two texts, from 0 to 1, where it is at least `least`."""
        size, sparse = self._rows.shape[0], self._library.sparse
        blocks = []
        for start in range(0, size, _BLOCK_ROWS):
            block = (self._rows[start : start + _BLOCK_ROWS] @ self._rows.T).tocoo()
            strong = (block.data >= least) & (block.row + start != block.col)
            coordinates = block.row[strong], block.col[strong]
            blocks.append(sparse.csr_matrix((block.data[strong], coordinates), shape=block.shape))
        return sparse.vstack(blocks, format="csr")

    def pair_matrix(self, size: int, pairs: Iterable[tuple[int, int, float]]) -> Any:
        """A sparse, symmetric `size` x `size` matrix of pairs (row, column, likeness)."""
        listed_pairs = list(pairs)
        first = [pair[0] for pair in listed_pairs] + [pair[1] for pair in listed_pairs]
        second = [pair[1] for pair in listed_pairs] + [pair[0] for pair in listed_pairs]
        weights = [pair[2] for pair in listed_pairs] * 2
        return self._library.sparse.csr_matrix((weights, (first, second)), shape=(size, size))

    def clusters(self, likeness: Any, least: float, size_max: int) -> Iterator[list[int]]:
        """Clusters of the indexes of texts with an average likeness of at least `least`, each text in one.

        Connected texts are compared each with each in heaps of at most `size_max`; larger heaps are cut
        first, at the lowest likeness that makes them small enough.
        """
        for heap in self._heaps(likeness, list(range(likeness.shape[0])), least, size_max):
            if len(heap) == 1:
                yield heap
                continue
            dense = self._library.numpy.minimum(likeness[heap][:, heap].toarray(), 1.0)
            clustering = self._library.cluster.AgglomerativeClustering(
                n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1.0 - least
            ).fit(1.0 - dense)
            for label in range(clustering.n_clusters_):
                yield [heap[index] for index in self._library.numpy.flatnonzero(clustering.labels_ == label)]

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
        """The up to _TERMS strongest words of the texts with these indexes, the strongest first."""
        weights = self._library.numpy.asarray(self._words[members].sum(axis=0)).ravel()
        strongest = self._library.numpy.argsort(-weights, kind="stable")[: 2 * _TERMS]
        terms = (self._vocabulary[index] for index in strongest if weights[index] > 0)
        return tuple(term for term in terms if not term.isdigit())[:_TERMS]


def _stop_words(library: _Library) -> list[str]:
    """English words without a topic, and the parts into which "don't" and the like are split."""
    return sorted(
        {*library.text.ENGLISH_STOP_WORDS, "don", "ll", "ve", "re", "isn", "doesn", "won", "didn", "can"}
    )
