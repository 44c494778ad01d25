"""What is answered within a budget of characters: never more, and what is missing is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from repomesh.kernel.budget import cut, encoded_length, fit
from repomesh.kernel.fields import Page, decode_cursor, encode_cursor
from repomesh.kernel.limits import MAX_CHARS_MIN
from repomesh.kernel.operation import Model


class Note(Model):
    id: str
    body: str
    body_chars: int
    truncated: bool = False


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
pages = st.lists(texts, max_size=30).map(
    lambda bodies: Page[Note](
        items=[
            Note(id=f"0198d2a0-0000-7000-8000-{n:012d}", body=b, body_chars=len(b))
            for n, b in enumerate(bodies)
        ],
        next_cursor=encode_cursor("0198d2a0-0000-7000-8000-000000000099"),
    )
)


def fitted(page: Page[Note], max_chars: int) -> Page[Note]:
    return fit(page, max_chars, lambda index: encode_cursor(page.items[index].id), "body")


@given(pages, st.integers(MAX_CHARS_MIN, 20_000))
def test_the_answer_never_exceeds_its_budget_and_says_what_is_missing(page: Page[Note], limit: int) -> None:
    answer = fitted(page, limit)
    assert len(answer.model_dump_json()) <= limit
    count = len(answer.items)
    for shown, whole in zip(answer.items, page.items, strict=False):
        assert whole.body.startswith(shown.body)
        assert shown.truncated == (shown.body != whole.body)
        assert shown.body_chars == len(whole.body)
    texts_cut = sum(item.truncated for item in answer.items)
    missing = len(page.items) - count
    if page.items and count == 0:  # an item that has no more to cut: the next page is behind it
        assert answer.omitted == "items longer than max_chars: 1, go on with next_cursor"
        after = page.next_cursor if missing == 1 else encode_cursor(page.items[0].id)
        assert answer.next_cursor == after
        return
    assert (f"items left out: {missing}," in (answer.omitted or "")) == (missing > 0)
    assert (f"texts cut: {texts_cut}," in (answer.omitted or "")) == (texts_cut > 0)
    if missing == 0:
        assert answer.next_cursor == page.next_cursor
    else:
        assert decode_cursor(answer.next_cursor or "", 1) == [page.items[count - 1].id]


@given(pages)
def test_what_fits_is_answered_as_it_is(page: Page[Note]) -> None:
    assert fitted(page, max(MAX_CHARS_MIN, len(page.model_dump_json()))) is page


@given(texts, st.integers(0, 700))
def test_a_cut_is_the_longest_that_fits(text: str, length: int) -> None:
    shown = cut(text, length)
    assert text.startswith(shown)
    assert encoded_length(shown) <= length
    if shown != text:
        assert encoded_length(text[: len(shown) + 1]) > length


def test_long_texts_give_way_to_short_ones() -> None:
    page = Page[Note](
        items=[
            Note(id=str(n), body=letter * size, body_chars=size)
            for n, (letter, size) in enumerate([("a", 5000), ("b", 100), ("c", 3000)])
        ]
    )
    answer = fitted(page, 3000)
    sizes = [len(item.body) for item in answer.items]
    assert sizes[0] == sizes[2] > 1000
    assert sizes[1] == 100
    assert answer.omitted == "texts cut: 2, raise max_chars"
