"""Which probes make a scan, and which transitions are counted in it."""

from datetime import UTC, date, datetime
from itertools import chain

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portkin_training.core.probes import SCHEMA
from portkin_training.tables.scans import ScanOptions, added, count_days, count_scans, moves, scan_sizes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86400.0


def probe(dport, at=0.0, *, src=1, dst=9, proto=6):
    """A probe ``at`` seconds after noon."""
    return {
        "ts": datetime.fromtimestamp(NOON.timestamp() + at, UTC), "src_hi": 0, "src_lo": src,
        "dst_hi": 0, "dst_lo": dst, "sport": 40000, "dport": dport, "proto": proto, "flags": 2,
    }  # fmt: skip


def columns_of(*probes):
    """Columns of the probes, whose ``seq`` is the order given."""
    return pa.Table.from_pylist([{"seq": seq, **row} for seq, row in enumerate(probes)], schema=SCHEMA)


def table_of(*probes):
    """The probes as `portkin_training.tables.scans` takes them."""
    return ibis.memtable(columns_of(*probes))


def edges_of(scans, proto="tcp"):
    """The transitions as {(source, target): count}."""
    found = scans.transitions[proto]
    return dict(zip(zip(found.source.tolist(), found.target.tolist(), strict=True), found.count.tolist(), strict=True))


def counted(*probes, proto="tcp", **options):
    """The transitions of the probes as {(source, target): count}."""
    return edges_of(count_scans(table_of(*probes), ScanOptions(**options)), proto)


def scan(*ports, at=0.0, **ends):
    """Probes of the ports, a second apart."""
    return [probe(port, at + i, **ends) for i, port in enumerate(ports)]


class TestTransitions:
    def test_successive_ports_are_counted(self):
        """Each pair of successive ports of a scan counts once, in its direction."""
        assert {(80, 443): 2, (443, 80): 1, (443, 22): 1} == counted(*scan(80, 443, 80, 443, 22))

    def test_scans_add_up(self):
        """The same pair in scans of other sources or destinations adds to the count."""
        probes = [*scan(80, 443, 22), *scan(80, 443, 21, src=2), *scan(80, 443, 25, dst=8)]

        assert 3 == counted(*probes)[80, 443]

    def test_sources_do_not_mix(self):
        """What another source or destination probes in between does not break or make a transition."""
        probes = [
            probe(80, 0), probe(1000, 0.5, src=2), probe(443, 1), probe(2000, 1.5, dst=8), probe(22, 2),
        ]  # fmt: skip

        assert {(80, 443): 1, (443, 22): 1} == counted(*probes)

    def test_repetitions_are_not_counted(self):
        """A port probed again at once is no transition, and does not hide the one that follows."""
        assert {(80, 443): 1, (443, 22): 1} == counted(*scan(80, 80, 80, 443, 443, 22))

    def test_order_is_by_time_then_place(self):
        """Probes are taken by time, and by their place in the recording where the time is the same."""
        late_first = [probe(22, 5), probe(80, 0), probe(443, 0)]

        assert {(80, 443): 1, (443, 22): 1} == counted(*late_first)

    def test_protocols_are_apart(self):
        """TCP and UDP of one source are different scans with different tables."""
        probes = [*scan(80, 443, 22), *scan(53, 123, 161, proto=17, at=0.5)]

        assert {(80, 443): 1, (443, 22): 1} == counted(*probes)
        assert {(53, 123): 1, (123, 161): 1} == counted(*probes, proto="udp")

    def test_midnight_ends_a_scan(self):
        """Days are UTC days: a transition over midnight is none, and each day is filtered by itself."""
        evening, morning = scan(80, 443, 22, at=DAY / 2 - 3), scan(21, 23, 25, at=DAY / 2)

        assert {(80, 443): 1, (443, 22): 1, (21, 23): 1, (23, 25): 1} == counted(*evening, *morning)

    def test_addresses_are_128_bit(self):
        """Sources that differ only in the upper or the lower half of the address are different."""
        one = [{**p, "src_hi": -(2**63)} for p in scan(80, 443, 22)]
        other = [{**p, "src_hi": 2**63 - 1} for p in scan(1, 2, 3, at=0.5)]

        assert {(80, 443): 1, (443, 22): 1, (1, 2): 1, (2, 3): 1} == counted(*one, *other)

    def test_in_order(self):
        """Edges come by source, then target, as the graph wants them."""
        found = count_scans(table_of(*scan(9, 3, 9, 1, 9, 2)), ScanOptions()).transitions["tcp"]

        edges = list(zip(found.source.tolist(), found.target.tolist(), strict=True))
        assert sorted(edges) == edges
        assert (np.uint16, np.uint16, np.int64) == (found.source.dtype, found.target.dtype, found.count.dtype)


class TestFilter:
    def test_too_few_ports(self):
        """A scan of two ports, however long, is not learnt from; of three it is."""
        assert {} == counted(*scan(80, 443, 80, 443))
        assert {(80, 443): 1, (443, 22): 1} == counted(*scan(80, 443, 22))

    def test_too_many_ports(self):
        """A scan of 30 ports is learnt from, one of 31 is not."""
        assert 29 == len(counted(*scan(*range(1, 31))))
        assert {} == counted(*scan(*range(1, 32)))

    def test_ports_are_counted_per_day(self):
        """Two ports on each of two days are four ports, but too few on either day."""
        assert {} == counted(*scan(80, 443), *scan(22, 21, at=DAY))

    def test_ports_are_counted_per_source_and_destination(self):
        """One source on one port of each of many hosts is a sweep, not a scan."""
        assert {} == counted(*(probe(port, dst=port) for port in (80, 443, 22, 21)))

    def test_options(self):
        """The bounds are options."""
        assert {(80, 443): 1} == counted(*scan(80, 443), min_ports=2)
        assert {} == counted(*scan(80, 443, 22, 21), max_ports=3)

    @pytest.mark.parametrize(("low", "high"), [(0, 30), (5, 4)])
    def test_refuses_bounds(self, low, high):
        """Bounds that no scan can meet are refused, with both values."""
        with pytest.raises(ValueError, match=f"min_ports {low} and max_ports {high}"):
            ScanOptions(low, high)

    def test_only_wanted_protocols(self):
        """A protocol that is not asked for is left out."""
        assert ["udp"] == list(count_scans(table_of(*scan(1, 2, 3)), ScanOptions(protos=("udp",))).transitions)


class TestCounts:
    def test_counts(self):
        """What was seen and kept is counted per protocol."""
        probes = table_of(*scan(80, 80, 443, 22, 443), *scan(80, 81, src=2), *scan(53, proto=17))

        counts = count_scans(probes, ScanOptions()).counts

        tcp = {"probes": 7, "probes_kept": 5, "scans": 2, "scans_kept": 1, "transitions": 3, "edges": 3}
        udp = {"probes": 1, "probes_kept": 0, "scans": 1, "scans_kept": 0, "transitions": 0, "edges": 0}
        assert {"tcp": tcp, "udp": udp} == {proto: vars(found) for proto, found in counts.items()}

    def test_no_probes(self):
        """A dataset without probes gives no transitions and counts of 0."""
        found = count_scans(table_of(), ScanOptions())

        assert [0, 0] == [len(edges.count) for edges in found.transitions.values()]
        assert 0 == found.counts["tcp"].probes


class TestDays:
    def test_days_add_up(self):
        """The days, each counted by itself and however many at once, make what is counted of all of them."""
        days = [[*scan(80, 443, 22, at=day * DAY), *scan(22, 80, 443, 22, src=2, at=day * DAY)] for day in range(4)]
        probes, options = table_of(*chain(*days)), ScanOptions()

        for at_once in (1, 14, 10**6):
            parts = list(count_days(probes, options, at_once=at_once))
            assert [date(2026, 3, day) for day in (1, 2, 3, 4)] == [day for day, _ in parts]
            assert [{(80, 443): 2, (443, 22): 2, (22, 80): 1}] * 4 == [edges_of(part) for _, part in parts]
            whole = added(((part, 1.0) for _, part in parts), options.protos)
            assert {(80, 443): 8, (443, 22): 8, (22, 80): 4} == edges_of(whole)
            assert count_scans(probes, options).counts == whole.counts

    def test_older_days_weigh_less(self):
        """A day's counts are taken times its weight, in whole parts; less than half a part is forgotten."""
        probes = table_of(*scan(80, 443, 22), *scan(80, 443, 25, at=DAY))
        (_, first), (_, second) = count_days(probes, ScanOptions())

        assert {(80, 443): 5, (443, 22): 1, (443, 25): 4} == edges_of(
            added([(first, 0.25), (second, 1.0)], ("tcp", "udp"), whole=4)
        )
        assert {(80, 443): 1, (443, 25): 1} == edges_of(added([(first, 0.25), (second, 1.0)], ("tcp", "udp")))


class TestPortable:
    def test_time_zone_of_the_session_does_not_matter(self, tmp_path):
        """A day is a UTC day whatever time zone the database session has."""
        con = ibis.duckdb.connect()
        con.raw_sql("SET TimeZone = 'Asia/Tokyo'")
        # 15:00 UTC is midnight in Tokyo: the scan would be cut there.
        pq.write_table(columns_of(*scan(80, 443, 22, at=3 * 3600 - 1)), tmp_path / "probes.parquet")

        found = count_scans(con.read_parquet(tmp_path / "probes.parquet"), ScanOptions())

        assert 2 == found.transitions["tcp"].count.sum()

    def test_compiles_for_spark(self):
        """The same expressions compile for Spark."""
        probes, options = table_of(*scan(1, 2, 3)), ScanOptions()

        sql = ibis.to_sql(moves(probes, options, scan_sizes(probes, options)), dialect="pyspark")

        assert "LAG(" in sql
        assert "LEFT SEMI JOIN" in sql
