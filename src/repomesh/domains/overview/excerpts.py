"""What is shown of the texts that a search found: where they hold what was asked for, however deep."""

from __future__ import annotations

from repomesh.domains.overview import full_texts
from repomesh.domains.overview.candidates import TextCandidate, TextExcerpt
from repomesh.domains.overview.ranking import StemMatcher
from repomesh.domains.overview.snippets import find_spots, snippet
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

IN_ABOUT = "It is found by its title, key, tags or speaker."
TOO_DEEP = "The match stands further in than was looked for: read the text, or search with a smaller limit."


class SnippetBuilder:
    """Makes the snippets of one answer, and reads long texts for that within one bound for all of them."""

    def __init__(self, tx: Transaction, asked: StemMatcher) -> None:
        self._tx = tx
        self._asked = asked
        self._left = limits.SNIPPET_DEEP_CHARS

    def of(self, candidate: TextCandidate) -> TextExcerpt:
        """The part of a text that holds what was asked for; where the match is, when that is not in it."""
        text, spots = candidate.text, find_spots(candidate.text, self._asked)
        missing = self._asked.stems - {stem for _, _, stem in spots}
        too_deep = False
        if missing and candidate.is_cut:
            too_deep = candidate.chars > self._left
            if not too_deep:
                self._left -= candidate.chars
                text = full_texts.whole(self._tx, candidate.fields["what"], candidate.fields["id"])
                spots = find_spots(text, self._asked)
        if spots:
            return TextExcerpt(snippet(text, spots))
        if find_spots(candidate.about, self._asked):
            return TextExcerpt(snippet(text, []), IN_ABOUT)
        return TextExcerpt(snippet(text, []), TOO_DEEP if too_deep else None)
