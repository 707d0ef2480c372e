"""Numbers in the sentences that commands, logs and pages print."""

from __future__ import annotations


def amount(number: int, noun: str) -> str:
    """So many of what `noun` names in the singular: ``1 port``, ``2,048 ports``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
