"""Lists of ports and networks, as the header of a rule writes them."""

from __future__ import annotations

from collections.abc import Sequence

_PER_RULE = 500
"""Ranges in a rule: keeps it within the length that Suricata reads."""


def listed(items: Sequence[str]) -> str:
    """Return one item as it is, more as a list.

    >>> listed(["53"]), listed(["53", "123:125"])
    ('53', '[53,123:125]')
    """
    return items[0] if len(items) == 1 else f"[{','.join(items)}]"


def ranges(numbers: Sequence[int]) -> list[str]:
    """Return port numbers as Suricata lists them: one by one, or as ranges.

    >>> ranges([125, 53, 123, 124])
    ['53', '123:125']
    """
    ordered = sorted(numbers)
    firsts = [n for before, n in zip([-2, *ordered], ordered, strict=False) if n != before + 1]
    lasts = [n for n, after in zip(ordered, [*ordered[1:], -2], strict=True) if after != n + 1]
    return [str(first) if first == last else f"{first}:{last}" for first, last in zip(firsts, lasts, strict=True)]


def port_lists(numbers: Sequence[int]) -> list[str]:
    """Return the lists of as many rules as it takes to name these ports."""
    found = ranges(numbers)
    return [listed(found[start : start + _PER_RULE]) for start in range(0, len(found), _PER_RULE)]
