"""JSON from outside is a value or a ValueError."""

from __future__ import annotations

import pytest

from portkin.json_text import parsed


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, r'"\ud800"', r'{"\uDFFF": 1}', b'"\xed\xa0\x80"', b"\xff", "9" * 5000]
)
def test_what_cannot_be_read_is_a_value_error(text):
    """No JSON, nested deeper than Python goes, half of a surrogate pair, no UTF-8, a number of too many digits."""
    with pytest.raises(ValueError, match=r"\w"):
        parsed(text)


@pytest.mark.parametrize(
    "text", ['{"a": "\U0001f600"}', r'{"a": "\ud83d\ude00"}', b'\xef\xbb\xbf{"a": "\xf0\x9f\x98\x80"}']
)
def test_whole_pairs_are_characters(text):
    """As text, as escapes, and behind a byte order mark."""
    assert {"a": "\U0001f600"} == parsed(text)
