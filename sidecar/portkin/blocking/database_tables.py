"""What the file of the block database holds, and how files of earlier schemas are brought up to it."""

from __future__ import annotations

SCHEMA = 4
"""1 had `why` in the place of `reason`, 2 no `backend`, 3 no `figures`."""
APPLICATION = 0x706B696E
"""``pkin``: marks our files (PRAGMA application_id)."""
WHAT = "a block database"
_BLOCKS = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    src TEXT NOT NULL, port INTEGER NOT NULL, proto TEXT NOT NULL,
    rank INTEGER NOT NULL, probed TEXT NOT NULL, table_id TEXT NOT NULL, reason TEXT NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL, extensions INTEGER NOT NULL DEFAULT 0,
    mode TEXT NOT NULL, hit INTEGER NOT NULL DEFAULT 0,
    packets INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    outcome TEXT, ended REAL
);
CREATE UNIQUE INDEX active ON blocks (src, port, proto) WHERE outcome IS NULL;
CREATE INDEX keys ON blocks (src, port, proto);
CREATE INDEX ended ON blocks (ended) WHERE outcome IS NOT NULL;
CREATE TABLE grace (
    src TEXT NOT NULL, port INTEGER NOT NULL, proto TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (src, port, proto)
) WITHOUT ROWID;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), latest REAL NOT NULL);
"""
_BACKEND = """
CREATE TABLE backend (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    mode TEXT NOT NULL, ready INTEGER NOT NULL, ipv6_fault TEXT NOT NULL, at REAL NOT NULL
);
"""
_FIGURES = """
CREATE TABLE figures (
    day INTEGER NOT NULL, mode TEXT NOT NULL,
    probes INTEGER NOT NULL, blocked INTEGER NOT NULL, new INTEGER NOT NULL, new_blocked INTEGER NOT NULL,
    blocks INTEGER NOT NULL, useful INTEGER NOT NULL, predicted INTEGER NOT NULL, predicted_useful INTEGER NOT NULL,
    PRIMARY KEY (day, mode)
) WITHOUT ROWID;
"""
TABLES = _BLOCKS + _BACKEND + _FIGURES
UPGRADES = {2: _BACKEND + _FIGURES, 3: _FIGURES}
"""What a file of an earlier schema lacks."""
