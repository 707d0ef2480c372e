"""What is counted of histories: by the compiled walk, by some sources at a time, and in any order."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from portkin.net.ports import PORTS
from portkin_training.core.dataset import open_probes
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.history import (
    APART,
    History,
    histories_by_source,
    of_every_source,
    outside,
    read_history,
    spans_of,
    within,
)
from portkin_training.core.port_codes import CODES
from portkin_training.core.probes import Probes
from portkin_training.evaluation.held_out import held_out_figures
from portkin_training.tables.next_port import method
from portkin_training.tables.next_port.calibration import Cases
from portkin_training.tables.next_port.counts import (
    PortCounts,
    PortCountsSum,
    count_ports,
    outcomes,
    summed_outcomes,
)
from portkin_training.tables.next_port.walk import GRAIN, STEP_SPAN
from portkin_training.tables.scans import ScanOptions

SECOND = 1_000_000
HORIZON = 50.0


def probes(seed: int, n: int = 3000) -> Probes:
    """Probes of 40 sources in IPv4 and IPv6, over two recordings far apart, with stamps that repeat."""
    rng = np.random.default_rng(seed)
    ts = 1_700_000_000 * SECOND + np.sort(rng.integers(0, 4000, n)) * SECOND // 2
    ts[n // 2 :] += 2 * APART
    source = rng.integers(-20, 20, n)
    return Probes(
        ts=ts, seq=np.arange(n), src=np.column_stack((np.where(source < 0, -5, 0), source)),
        dst=np.zeros((n, 2), np.int64), sport=np.zeros(n, np.uint16),
        dport=rng.choice([0, 22, 23, 80, 81, 82, 443, 65_535], n).astype(np.uint16),
        proto=rng.choice([6, 17], n, p=[0.7, 0.3]).astype(np.uint8), flags=np.zeros(n, np.uint8),
    )  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    with ProbesWriter(tmp_path / "probes") as writer:
        writer.write(probes(1))
    return tmp_path / "probes"


def by_hand(history: History) -> tuple[dict[str, Counter], Counter, Counter]:
    """Counts by name, and trials and successes of outcomes, source by source in plain Python."""
    found: dict[str, Counter] = {name: Counter() for name in ("visits", "onward", "draws", "pairs", "paces", "sources")}
    trials, successes = Counter(), Counter()
    for source in np.unique(history.group).tolist():
        mine = history[history.group == source]
        rows = list(zip(mine.ts.tolist(), mine.code.tolist(), strict=True))
        visited = {code for _, code in rows}
        found["visits"].update(visited)
        found["sources"].update({code // PORTS for code in visited})
        weight = len(visited) ** -0.5
        trials.update(dict.fromkeys(visited, weight))
        onward, paces, known = set(), set(), {rows[0][1]}
        for (before, p), (now, q) in pairwise(rows):
            if q not in known and p // PORTS == q // PORTS and now - before < HORIZON * SECOND:
                onward.add(p)
                paces.add(q // PORTS * STEP_SPAN + q - p + CODES)
                found["draws"][q] += 1
                found["pairs"][p * CODES + q] += 1
                successes[p * CODES + q] += weight
            known.add(q)
        found["onward"].update(onward)
        found["paces"].update(paces)
    return found, trials, successes


def keyed(counts: PortCounts) -> dict[str, dict[int, float]]:
    """All that was counted, by name and key."""
    dense = {name: getattr(counts, name) for name in ("visits", "onward", "draws", "sources")}
    named = {name: dict(zip(np.flatnonzero(part), part[part != 0], strict=True)) for name, part in dense.items()}
    return named | {
        name: dict(zip(part.keys.tolist(), part.values.tolist(), strict=True))
        for name, part in (("pairs", counts.pairs), ("paces", counts.paces))
    }


def same(one: PortCounts, other: PortCounts) -> bool:
    return keyed(one) == keyed(other)


def test_the_walk_counts_as_by_hand(dataset):
    """Compiled counts are those of plain Python; weights are within the grain that they are rounded to."""
    history = read_history(open_probes(dataset))

    expected, trials, successes = by_hand(history)
    counted, after = count_ports(history, HORIZON), outcomes(history, HORIZON)

    assert expected == {name: Counter(part) for name, part in keyed(counted).items()}
    assert sum(expected["pairs"].values()) > 100
    assert sorted(successes) == after.successes.keys.tolist()
    grain = GRAIN * len(history)
    assert [successes[key] for key in sorted(successes)] == pytest.approx(after.successes.values, abs=grain)
    assert [trials[code] for code in range(CODES)] == pytest.approx(after.trials, abs=grain)


@pytest.mark.parametrize("at_once", [150, 1000, 10**6])
def test_some_sources_at_a_time(dataset, at_once):
    """However many sources are taken at once, counts, outcomes and cases add up to the same, to the last bit."""
    table = open_probes(dataset)
    whole = read_history(table)

    parts = list(histories_by_source(table, at_once=at_once))

    assert len(whole) == sum(map(len, parts))
    assert (len(parts) > 1) == (at_once < len(whole))
    total = PortCountsSum()
    for part in parts:
        total.add(count_ports(part))
    assert same(count_ports(whole), total.total())
    one, many = outcomes(whole), summed_outcomes(map(outcomes, parts))
    assert np.array_equal(one.trials, many.trials)
    assert np.array_equal(one.successes.keys, many.successes.keys)
    assert np.array_equal(one.successes.values, many.successes.values)
    ports, codes = np.array([22, 80]), np.array([[80, 23, -1], [22, 443, 81]])
    one_case, many_cases = Cases.of(whole, ports, codes), Cases.of_all(parts, ports, codes)
    assert np.array_equal(one_case.trials, many_cases.trials)
    assert np.array_equal(one_case.successes, many_cases.successes)
    assert one_case.successes.any()


def test_each_source_lies_in_one_part(dataset):
    """A part holds whole sources: as many groups in all parts together as there are sources, each in order of time."""
    table = open_probes(dataset)

    parts = list(histories_by_source(table, at_once=200))

    assert len(np.unique(read_history(table).group)) == sum(len(np.unique(part.group)) for part in parts)
    for part in parts:
        together = part.group[1:] == part.group[:-1]
        assert (np.diff(part.ts)[together] >= 0).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 1.0])
def test_spans_are_those_of_the_history(dataset, share):
    """The first share of each recording is found without reading it whole, and the parts are what a history's are."""
    table = open_probes(dataset)
    history = read_history(table)

    spans = spans_of(table, share)

    assert history.spans(share) == spans
    assert 2 == len(spans)
    earlier, later = history.divided(share)
    assert (len(earlier), len(later)) == tuple(
        part.count().to_pyarrow().as_py() for part in (within(table, spans), outside(table, spans))
    )
    assert len(earlier) == history.inside(spans).sum()


def test_spans_of_nothing(dataset):
    """Without probes there is no span, and everything lies outside."""
    table = open_probes(dataset)

    assert [] == spans_of(table.limit(0), 0.5)
    assert [] == list(histories_by_source(table.limit(0)))
    assert 0 == within(table, []).count().to_pyarrow().as_py()
    assert 3000 == outside(table, []).count().to_pyarrow().as_py()


def test_every_so_manieth_source(dataset):
    """A sample of sources holds each of them whole, and every source lies in one of the samples of its kind."""
    table = open_probes(dataset)
    some = read_history(of_every_source(table, 4))

    assert 0 < len(some) < 3000
    addresses = of_every_source(table, 4).select("src_hi", "src_lo").distinct().to_pyarrow().to_pylist()
    every = table.select("src_hi", "src_lo").to_pyarrow().to_pylist()
    assert len(some) == sum(row in addresses for row in every)
    assert table is of_every_source(table, 1)


def test_the_table_does_not_depend_on_portions(dataset, monkeypatch):
    """A table by kin is the same, to the last bit, from all sources at once and from a few at a time."""
    table = open_probes(dataset)
    whole = method.next_port(table, ScanOptions(), 5)
    monkeypatch.setattr(method.histories_by_source, "__kwdefaults__", {"at_once": 300})

    parts = method.next_port(table, ScanOptions(), 5)

    for proto, built in whole.items():
        assert built.counts == parts[proto].counts
        for name in ("ports", "neighbors", "distances"):
            assert np.array_equal(getattr(built.rows, name), getattr(parts[proto].rows, name))


def test_some_sources_are_tried_of_many_probes(dataset):
    """Of more probes than can be tried, the held-out figures are of a sample of sources, and say so."""
    table = open_probes(dataset)

    whole = held_out_figures(table, "kin", ScanOptions(), 3)
    some = held_out_figures(table, "kin", ScanOptions(), 3, most=1000)

    assert "sources" not in whole
    assert "1 of 3" == some["sources"]
    assert 0 < some["k=3"]["new_ports"] < whole["k=3"]["new_ports"]
    assert held_out_figures(of_every_source(table, 3), "kin", ScanOptions(), 3)["frontier"] == some["frontier"]


def test_rows_of_some_ports_are_those_of_all(dataset):
    """Asked for a few ports, kin gives the very rows that it gives them among all."""
    table = open_probes(dataset)
    asked = np.array([22, 443, PORTS + 80])

    some, every = (method.next_port(table, ScanOptions(), 4, ports=ports) for ports in (asked, None))

    for proto, ports in (("tcp", [22, 443]), ("udp", [80])):
        assert ports == some[proto].rows.ports.tolist()
        at = np.searchsorted(every[proto].rows.ports, ports)
        assert np.array_equal(every[proto].rows.neighbors[at], some[proto].rows.neighbors)
        assert np.array_equal(every[proto].rows.distances[at], some[proto].rows.distances)
        assert every[proto].counts == some[proto].counts
