"""JSON from outside as values, or a ValueError whatever is wrong with it: Python's own reader has other errors too."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parsed(text: str | bytes | memoryview, decoder: json.JSONDecoder | None = None) -> Any:
    """The value of a JSON text; bytes are UTF-8.

    Raises ValueError for what is no JSON, is nested deeper than can be read, or holds half of a surrogate pair (RFC
    8259, 8.2), which no file, database or terminal takes.

    >>> parsed('{"a": [1, "\\u00e9"]}')
    {'a': [1, 'é']}
    """
    text = text if isinstance(text, str) else bytes(text).decode().removeprefix("\ufeff")
    try:
        found = json.loads(text) if decoder is None else decoder.decode(text)
        if "\\u" in text and _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return found
