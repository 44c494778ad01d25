"""Builds what is shown of the texts that a search found: the part that matches, however deep it stands."""

from __future__ import annotations

from repomesh.domains.overview.searching import full_texts
from repomesh.domains.overview.searching.candidates import TextCandidate, TextExcerpt
from repomesh.domains.overview.searching.ranking import StemMatcher
from repomesh.domains.overview.searching.snippets import find_spots, snippet
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

IN_ABOUT = "It is found by its title, key, tags or speaker."
TOO_DEEP = "The match stands further in than was looked for: read the text, or search with a smaller limit."


class SnippetBuilder:
    """Builds the snippets of one answer, and reads whole texts for them within one bound for all."""

    def __init__(self, tx: Transaction, matcher: StemMatcher) -> None:
        self._tx = tx
        self._matcher = matcher
        self._chars_left = limits.SNIPPET_DEEP_CHARS

    def build(self, candidate: TextCandidate) -> TextExcerpt:
        """Return the part of a text that matches, or its beginning with a remark where the match is."""
        text, spots = candidate.text, find_spots(candidate.text, self._matcher)
        missing = self._matcher.stems - {stem for _, _, stem in spots}
        too_deep = False
        if missing and candidate.is_cut:
            too_deep = candidate.chars > self._chars_left
            if not too_deep:
                self._chars_left -= candidate.chars
                text = full_texts.read_text(self._tx, candidate.fields["what"], candidate.fields["id"])
                spots = find_spots(text, self._matcher)
        if spots:
            return TextExcerpt(snippet(text, spots))
        if find_spots(candidate.about, self._matcher):
            return TextExcerpt(snippet(text, []), IN_ABOUT)
        return TextExcerpt(snippet(text, []), TOO_DEEP if too_deep else None)
