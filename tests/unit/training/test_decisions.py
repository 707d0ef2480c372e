"""From a scanner's probes to what is kept for blocking, and what came true of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portkin.bundles.table import Rows, Table, write_table
from portkin.net.addresses import Nets, number_of
from portkin.net.ports import Port
from portkin_training.core.protocols import TCP
from portkin_training.twin.decisions import DecisionConfig, ProbeDecider
from portkin_training.twin.detector import US, Evidence, Probe
from support.tables import StepModel, with_model

SCANNER, HOST = number_of("198.51.100.7"), number_of("192.0.2.10")


def tcp(*numbers: int) -> tuple[Port, ...]:
    return tuple(Port(number, "tcp") for number in numbers)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """80 is near to 443 and 8080, 443 to 80."""
    rows = Rows(
        np.array([80, 443], np.uint16),
        np.array([[443, 8080], [80, 0]], np.uint16),
        np.array([[1.0, 2.0], [1.0, np.inf]], np.float32),
    )
    return write_table(Path(tmp_path_factory.mktemp("table")) / "table", {"tcp": rows}, method="by hand")


def probe(port: int, at: float, *, past: bool = False, sent: float | None = None) -> Probe:
    when = at if sent is None else sent
    return Probe(round(at * US), SCANNER, HOST, port, TCP, Evidence.TRW, past=past, sent=round(when * US))


def decide(table: Table, *probes: Probe, **options) -> list:
    decider = ProbeDecider(DecisionConfig(**options), table)
    for one in probes:
        decider.probe(one)
    decider.close()
    return decider.decisions


def test_the_probed_port_and_its_k_nearest_are_kept(table):
    """The probed port first, then the nearest first."""
    (decision,) = decide(table, probe(80, 0))
    assert tcp(443, 8080) == decision.predicted
    assert tcp(80, 443, 8080) == decision.kept
    assert () == decision.vetoed


def test_a_port_the_table_does_not_know_is_kept_alone(table):
    """Nothing is near to it."""
    (decision,) = decide(table, probe(9999, 0))
    assert () == decision.predicted
    assert tcp(9999) == decision.kept


def test_k_bounds_the_prediction(table):
    """k = 1 keeps the probed port and one more."""
    (decision,) = decide(table, probe(80, 0), k=1)
    assert tcp(80, 443) == decision.kept


def test_a_further_probe_prolongs_the_decision(table):
    """One decision per source and port while it lasts, and a new one after it ended."""
    first, second = decide(table, probe(80, 0), probe(80, 90), probe(80, 189), probe(80, 289), block_interval=100)
    assert (3, 1) == (first.probes, second.probes)
    assert 289 * US == first.until
    assert 289 * US == second.ts


def test_hits_are_predicted_ports_probed_afterwards(table):
    """80 predicts 443 and 8080; 443 comes, 8080 had come before; 443 predicts 80, which does not come again."""
    decisions = decide(table, probe(8080, 0), probe(80, 1), probe(443, 2), probe(443, 3))
    assert {8080: 0, 80: 1, 443: 0} == {decision.probed.number: decision.hits for decision in decisions}


def test_probes_from_before_the_verdict_make_nothing_come_true(table):
    """They were sent before anything was predicted."""
    decisions = decide(table, probe(80, 1, past=True), probe(443, 1, past=True), probe(8080, 1))
    assert {80: 1, 443: 0, 8080: 0} == {decision.probed.number: decision.hits for decision in decisions}


@pytest.fixture
def modelled(tmp_path: Path) -> tuple[Table, StepModel]:
    """22 is near to 23; the model goes on by the step between the last two ports."""
    rows = Rows(np.array([22], np.uint16), np.array([[23]], np.uint16), np.array([[1.0]], np.float32))
    made = write_table(tmp_path / "modelled", {"tcp": rows}, method="by hand")
    return made, with_model(made)


def test_from_the_second_port_on_the_source_predicts(modelled):
    """22 is predicted by the table; 25 after it by the step of 3: 28, which comes."""
    table, model = modelled
    decisions = decide(table, probe(22, 0), probe(25, 1.5), probe(28, 4))
    assert [(tcp(23), False, 0), (tcp(28), True, 1), (tcp(31), True, 0)] == [
        (one.predicted, one.by_source, one.hits) for one in decisions
    ]
    assert ([28, 25, 22], 3, 4.0, 32, -1.0) == model.asked
    assert [False] * 3 == [one.by_source for one in decide(table, probe(22, 0), probe(25, 1), by_source=False)] + [
        decide(table, probe(22, 0), probe(22, 1))[0].by_source
    ]


def test_the_latest_eight_ports_are_asked_with(modelled):
    """A port that is probed again comes to the front, whatever stood before it; all of them count."""
    table, model = modelled
    decide(table, *(probe(port, port) for port in range(1, 11)), probe(5, 11), probe(50, 12))
    assert ([50, 5, 10, 9, 8, 7, 6, 4], 11, 11.0, 32, -1.0) == model.asked


def test_probes_from_before_the_verdict_are_part_of_the_history(modelled):
    """They failed 30 and 20 s before the verdict: the source took 30 s so far, in whatever order they are reported."""
    table, model = modelled
    decisions = decide(
        table, probe(22, 100, past=True, sent=80), probe(23, 100, past=True, sent=70), probe(24, 100), probe(25, 100)
    )
    assert ([25, 24, 23, 22], 4, 30.0, 32, -1.0) == model.asked
    # 23 was predicted of 22 and came before; 24 of (22, 23), and 25 of (23, 24), came after.
    assert [0, 1, 1, 0] == [one.hits for one in decisions]


def test_a_history_ends_with_the_last_decision(modelled):
    """After 100 s of silence the source is a new one, whose first port is predicted by the table."""
    table, _ = modelled
    decisions = decide(table, probe(22, 0), probe(25, 1), probe(22, 102), block_interval=100)
    assert [False, True, False] == [one.by_source for one in decisions]


def test_a_probe_after_the_decision_ended_is_no_hit(table):
    """A prediction has its time."""
    first, _ = decide(table, probe(80, 0), probe(443, 100), block_interval=100)
    assert 0 == first.hits


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"never_block_nets": Nets(["198.51.100.0/24"])}, "never_block_net"),
        ({"never_block_ports": frozenset(tcp(80, 443, 8080))}, "never_block_port"),
    ],
)
def test_never_block_wins(table, options, reason):
    """Nothing is kept, and the decision says why."""
    (decision,) = decide(table, probe(80, 0), **options)
    assert () == decision.kept
    assert tuple((port, reason) for port in tcp(80, 443, 8080)) == decision.vetoed


@pytest.mark.parametrize(("after", "kept"), [(99, tcp(80, 8080)), (100, tcp(80, 443, 8080))])
def test_services_of_this_network_are_left_alone_while_they_are_seen(table, after, kept):
    """443 was answered at 0 s and counts as open for service_timeout = 100 s."""
    decider = ProbeDecider(DecisionConfig(service_timeout=100), table)
    decider.service(0, 443, TCP)
    decider.probe(probe(80, after))
    assert kept == decider.decisions[0].kept


def test_open_services_are_kept_where_the_site_says_so(table):
    """block_open_services turns the veto off."""
    decider = ProbeDecider(DecisionConfig(block_open_services=True), table)
    decider.service(0, 443, TCP)
    decider.probe(probe(80, 1))
    assert tcp(80, 443, 8080) == decider.decisions[0].kept


def test_a_policy_may_veto(table):
    """The hook of the Zeek package, as a function."""
    decider = ProbeDecider(DecisionConfig(), table, block_policy=lambda src, port: port.number != 443)
    decider.probe(probe(80, 0))
    assert ((Port(443, "tcp"), "policy"),) == decider.decisions[0].vetoed


def test_a_sweep_over_all_ports_is_bounded(table):
    """Beyond max_ports decisions of one source nothing is decided, and that is counted."""
    decider = ProbeDecider(DecisionConfig(max_ports=100), table)
    for port in range(1, 1001):
        decider.probe(probe(port, 0))
    assert (100, 900) == (len(decider.decisions), decider.state_full)
