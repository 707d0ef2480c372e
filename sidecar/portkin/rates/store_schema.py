"""The tables of the rates database."""

SCHEMA = 1
APPLICATION = 0x706B7274
"""``pkrt``: marks our files (PRAGMA application_id)."""
TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    width INTEGER NOT NULL, tz TEXT NOT NULL, open INTEGER, watching INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE nodes (node TEXT PRIMARY KEY, since REAL NOT NULL, reached REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE reports (
    node TEXT NOT NULL, start REAL NOT NULL, until REAL NOT NULL, PRIMARY KEY (node, start)
) WITHOUT ROWID;
CREATE TABLE bins (start INTEGER PRIMARY KEY, known INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0);
CREATE TABLE counts (
    bin INTEGER NOT NULL, proto TEXT NOT NULL, port INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (bin, proto, port)
) WITHOUT ROWID;
CREATE TABLE counted (
    proto TEXT NOT NULL, port INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (proto, port)
) WITHOUT ROWID;
"""
THRESHOLDS = """
CREATE TABLE IF NOT EXISTS followed (
    model TEXT NOT NULL, proto TEXT NOT NULL, port INTEGER NOT NULL, e REAL NOT NULL, w REAL NOT NULL,
    over_e INTEGER NOT NULL, over_w INTEGER NOT NULL, PRIMARY KEY (model, proto, port)
) WITHOUT ROWID
"""
"""Beside `TABLES`, so that a file of before gains it."""
