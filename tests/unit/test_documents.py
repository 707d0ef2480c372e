"""Documents name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("*/*.md"))]
SKIPPED = {".venv", "build", "dist", "__pycache__", "node_modules"}
"""Folders that hold nothing of the project."""


def held() -> set[str]:
    """Every file and, with a slash behind it, folder of the tree, from the root and from any folder on the way."""
    found = set()
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if SKIPPED.isdisjoint(parts) and not parts[0].startswith(".git"):
            slash = "/" if path.is_dir() else ""
            found.update("/".join(parts[at:]) + slash for at in range(len(parts)))
    return found


def test_the_architecture_names_what_is_there():
    """Every file, folder and package that the page on the architecture names is in the tree."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+(?:\.(?:py|zeek|md|toml)|/))`", text)
    assert len(named) > 60
    assert [] == sorted(set(named) - held())


@pytest.mark.parametrize("package", ["sidecar/portkin", "training/portkin_training"])
def test_the_architecture_leaves_no_folder_out(package):
    """Every folder of a package is on the page on the architecture."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = [path.name for path in (ROOT / package).iterdir() if path.is_dir() and path.name not in SKIPPED]
    assert [] == [name for name in folders if f"`{name}/`" not in text]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    """Every link of a document to a file of the tree leads to one."""
    links = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [] == [link for link in links if not (document.parent / link).exists()]
