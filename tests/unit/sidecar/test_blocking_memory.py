"""What blocking keeps in memory has a limit: graces, statistics, reasons and the ends of blocks."""

from __future__ import annotations

import tracemalloc
from ipaddress import ip_address

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.block import Block, Evidence, key_of
from portkin.blocking.records import BlockRecords
from portkin.blocking.stats import BlockingStats
from portkin.net.ports import Port
from support.enforcing import Lines
from support.simulated_backend import SRC, key


def test_graces_that_are_over_take_no_memory(tmp_path):
    """Graces are forgotten in memory when they are over, not only in the file."""
    active = ActiveBlocks()
    records = BlockRecords(tmp_path / "blocks.sqlite", active, Lines(), lambda: 0.0, lambda: 0.0)
    records.open()
    for port in range(1, 101):
        active.begin_grace(key(SRC, str(port)), 10.0)
    records.record_ended()
    assert 100 == len(active.grace) == len(records.database.grace(0.0))
    records.prune(0.0, 11.0)
    assert ({}, {}) == (active.grace, records.database.grace(0.0))
    records.close()


def test_statistics_remember_so_many_ports_in_total():
    """Many sources that each probe many ports fill a fixed number of places; the silent ones are forgotten first."""
    stats = BlockingStats("shadow", sources=100, ports=50, total=60)
    for src in range(3):
        for port in range(1, 26):
            stats.probed(key_of(ip_address(src + 1), Port(port, "tcp")), None)
    # 25 places each: the third source takes the 51st to the 75th, and the first goes with the 61st. So a port that the
    # second and third have not probed is new to a known source; the first is a source never seen.
    counted = []
    for src in (3, 2, 1):
        before = stats.by_mode["shadow"].new
        stats.probed(key_of(ip_address(src), Port(99, "tcp")), None)
        counted.append(stats.by_mode["shadow"].new - before)
    assert [1, 1, 0] == counted


def test_a_long_reason_is_not_kept_by_the_cache():
    """Of twenty reasons of a megabyte each, less than one is kept to save reading them again."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20):
            Evidence.parse(f"evidence=TRW answered={number} " + "x" * 1_000_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


def test_a_block_that_is_extended_takes_no_more_room():
    """Ten thousand extensions of one block are not kept: a float of each alone would take 240,000 bytes."""
    active, block = ActiveBlocks(), Block(key(SRC, "80"), "shadow", 0, 0.0, 1.0)
    active.add(block)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for until in range(10_000):
            active.set_end(block, until + 0.5)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 24_000
