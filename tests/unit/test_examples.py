"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import portkin
import portkin_rules
import portkin_training


def modules_with_examples() -> list[str]:
    """The names of all modules that hold a doctest, without importing them."""
    return [
        ".".join((package.__name__, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        for package in (portkin, portkin_rules, portkin_training)
        for folder in [Path(package.__path__[0])]
        for path in sorted(folder.rglob("*.py"))
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    """Every example in the module's docstrings prints what stands below it."""
    found = doctest.testmod(importlib.import_module(name), report=True)
    assert 0 == found.failed
    assert found.attempted > 0
