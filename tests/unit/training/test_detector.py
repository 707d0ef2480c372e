"""Who is a scanner: the sequential test, the count of failures, nets without hosts."""

from __future__ import annotations

import pytest

from portkin.net.addresses import Nets, number_of
from portkin_training.core.protocols import TCP, UDP
from portkin_training.twin.detector import US, DetectorConfig, Evidence, Probe, ScannerDetector

SCANNER, CLIENT = number_of("198.51.100.7"), number_of("198.51.100.8")
HOST = number_of("192.0.2.10")
DARK = number_of("203.0.113.5")


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []
        self.services: list[tuple[int, int]] = []

    def probe(self, probe: Probe) -> None:
        self.probes.append(probe)

    def service(self, ts: int, port: int, proto: int) -> None:
        self.services.append((port, proto))

    @property
    def ports(self) -> list[int]:
        return [probe.port for probe in self.probes]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def detector(heard: Heard, **options) -> ScannerDetector:
    return ScannerDetector(DetectorConfig(**options), heard)


def refuse(judge: ScannerDetector, *ports: int, src: int = SCANNER, at: float = 0.0, proto: int = TCP) -> None:
    for step, port in enumerate(ports):
        ts = round((at + step / 100) * US)
        judge.contacted(ts, src, HOST, port, proto)
        judge.refused(ts + 10, src, HOST, port, proto)


def answer(judge: ScannerDetector, *ports: int, src: int = SCANNER, at: float = 0.0) -> None:
    for step, port in enumerate(ports):
        ts = round((at + step / 100) * US)
        judge.contacted(ts, src, HOST, port, TCP)
        judge.answered(ts + 10, src, HOST, port, TCP)


def test_four_failures_in_a_row_make_a_scanner(heard):
    """Each failure multiplies the ratio by 0.8 / 0.2 = 4; 4**3 = 64 < 99 = 0.99 / 0.01 <= 4**4 = 256."""
    judge = detector(heard)
    refuse(judge, 1, 2, 3)
    assert [] == heard.ports
    refuse(judge, 4, at=1)
    assert [1, 2, 3, 4] == heard.ports
    assert {Evidence.TRW} == {probe.evidence for probe in heard.probes}
    assert all(probe.past for probe in heard.probes)


def test_a_success_takes_one_failure_back(heard):
    """0.2 / 0.8 = 1 / 4: three failures, a success and one failure leave 4**3 = 64 < 99."""
    judge = detector(heard)
    refuse(judge, 1, 2, 3)
    answer(judge, 80, at=1)
    refuse(judge, 4, at=2)
    assert [] == heard.ports
    refuse(judge, 5, at=3)
    assert [1, 2, 3, 4, 5] == heard.ports


def test_the_same_service_answers_for_a_source_only_once(heard):
    """A scanner cannot walk back by connecting to one open port again and again."""
    judge = detector(heard)
    refuse(judge, 1, 2, 3)
    answer(judge, 80, 80, 80, 80, at=1)
    refuse(judge, 4, 5, at=2)
    assert [1, 2, 3, 4, 5] == heard.ports


def test_a_source_found_benign_starts_over(heard):
    """Five successes after a failure: 4 * 4**-5 < 0.01 / 0.99, so the walk is back at 1 and takes four failures."""
    judge = detector(heard, failed_threshold=0)
    refuse(judge, 1)
    answer(judge, 80, 443, 22, 25, 110, at=1)
    refuse(judge, 2, 3, 4, at=2)
    assert [] == heard.ports
    refuse(judge, 5, at=3)
    assert [1, 2, 3, 4, 5] == heard.ports


def test_the_same_port_fails_only_once(heard):
    """A client that retries a closed port is no scanner."""
    judge = detector(heard)
    refuse(judge, *[25] * 50)
    assert [] == heard.ports


def test_distinct_failures_alone_make_a_scanner(heard):
    """Where TRW is off, or successes hold it down, the tenth distinct failure within the interval decides."""
    judge = detector(heard, trw=False)
    refuse(judge, *range(1, 10))
    assert [] == heard.ports
    refuse(judge, 10, at=1)
    assert [*range(1, 11)] == heard.ports
    assert Evidence.FAILED == heard.probes[0].evidence


def test_failures_further_apart_than_the_interval_do_not_add_up(heard):
    """Nine failures, and a tenth after failed_interval, are no scan."""
    judge = detector(heard, trw=False, failed_interval=60)
    refuse(judge, *range(1, 10))
    refuse(judge, 10, at=61)
    assert [] == heard.ports


def test_one_packet_to_a_darknet_is_enough(heard):
    """Nobody lives there, so nobody is expected."""
    judge = detector(heard, darknets=Nets(["203.0.113.0/24"]))
    judge.contacted(0, SCANNER, DARK, 23, TCP)
    assert [Probe(0, SCANNER, DARK, 23, TCP, Evidence.DARKNET, past=False, sent=0)] == heard.probes


def test_silence_is_a_failure_at_the_next_contact(heard):
    """What was not answered within answer_timeout has failed when the source sends again."""
    judge = detector(heard)
    for step, port in enumerate([1, 2, 3, 4]):
        judge.contacted(step * 10, SCANNER, HOST, port, TCP)
    judge.contacted(US - 1, SCANNER, HOST, 5, TCP)
    assert [] == heard.ports
    judge.contacted(2 * US, SCANNER, HOST, 6, TCP)
    assert [1, 2, 3, 4, 5, 6] == heard.ports
    assert [True] * 5 + [False] == [probe.past for probe in heard.probes]


def test_who_sends_faster_than_answers_can_come_is_found_without_waiting(heard):
    """With room for max_contacts open ones, each further one makes the oldest fail."""
    judge = detector(heard, max_contacts=8)
    for port in range(1, 12):
        judge.contacted(port, SCANNER, HOST, port, TCP)
    assert [] == heard.ports
    judge.contacted(12, SCANNER, HOST, 12, TCP)
    assert [*range(1, 13)] == heard.ports


def test_silence_of_a_udp_port_says_nothing(heard):
    """Many UDP services never answer."""
    judge = detector(heard)
    for port in range(1, 100):
        judge.contacted(port * 2 * US, SCANNER, HOST, port, UDP)
    assert [] == heard.ports


def test_udp_ports_refused_by_icmp_count(heard):
    """Ten closed UDP ports make a scanner by count, not by TRW: open ones would not be seen."""
    judge = detector(heard)
    refuse(judge, *range(1, 10), proto=UDP)
    assert [] == heard.ports
    refuse(judge, 10, at=1, proto=UDP)
    assert Evidence.FAILED == heard.probes[0].evidence


def test_every_contact_of_a_scanner_is_a_probe_at_its_first_packet(heard):
    """Once known, its probes are reported before anybody could answer."""
    judge = detector(heard)
    refuse(judge, 1, 2, 3, 4)
    judge.contacted(US, SCANNER, HOST, 80, TCP)
    assert Probe(US, SCANNER, HOST, 80, TCP, Evidence.TRW, past=False, sent=US) == heard.probes[-1]


def test_a_scanner_that_stays_silent_is_forgotten(heard):
    """After source_timeout it has to be found again."""
    judge = detector(heard, source_timeout=100)
    refuse(judge, 1, 2, 3, 4)
    judge.contacted(99 * US, SCANNER, HOST, 80, TCP)
    assert 80 == heard.ports[-1]
    judge.contacted(199 * US, SCANNER, HOST, 81, TCP)
    assert 80 == heard.ports[-1]


def test_sources_do_not_share_their_failures(heard):
    """Two clients with three failures each are no scanners."""
    judge = detector(heard)
    refuse(judge, 1, 2, 3)
    refuse(judge, 1, 2, 3, src=CLIENT)
    assert [] == heard.ports


@pytest.mark.parametrize(
    "options",
    [
        {"exempt_nets": Nets(["198.51.100.0/24"])},
        {"exempt_ports": frozenset((port, TCP) for port in range(1, 9))},
        {"protected_nets": Nets(["203.0.113.0/24"])},
    ],
)
def test_what_is_exempt_is_no_evidence(heard, options):
    """Exempt sources, exempt ports and destinations that are not watched leave no trace."""
    judge = detector(heard, **options)
    refuse(judge, *range(1, 9))
    assert [] == heard.ports


def test_a_policy_may_leave_contacts_out(heard):
    """The hook of the Zeek package, as a function."""
    judge = ScannerDetector(DetectorConfig(), heard, probe_policy=lambda src, dst, port, proto: port > 4)
    refuse(judge, 1, 2, 3, 4)
    assert [] == heard.ports


def test_answers_tell_of_services_of_the_protected_net(heard):
    """Services are learnt from anybody's connections, a scanner's too."""
    judge = detector(heard, protected_nets=Nets(["192.0.2.0/24"]))
    answer(judge, 443, src=CLIENT)
    judge.answered(0, CLIENT, DARK, 80, TCP)
    assert [(443, TCP)] == heard.services


def test_room_for_sources_is_bounded(heard):
    """Beyond max_sources nobody new is tracked, and that is counted."""
    judge = detector(heard, max_sources=10)
    for source in range(20):
        judge.contacted(0, source, HOST, 80, TCP)
    assert 10 == judge.state_full
