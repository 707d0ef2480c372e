"""Prints how many probes the sidecar's database holds: all that both workers counted."""

import sqlite3

with sqlite3.connect("rates.sqlite") as database:
    print(database.execute("SELECT sum(n) FROM counts").fetchone()[0], "probes")
