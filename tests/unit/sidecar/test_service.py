"""The service: messages and the time in, messages out."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from portkin import __version__
from portkin.net.ports import Port
from portkin.zeek.dispatcher import HELLO_LAST, Hello, Nearest, Part, Service
from portkin.zeek.event import Count, Junk
from portkin.zeek.messages import (
    PROTOCOL,
    HelloRequest,
    HelloResponse,
    NearestRequest,
    NearestResponse,
    SourceRequest,
    SourceResponse,
    TableChanged,
)
from support.tables import small_table, table_with_chances, with_model


@pytest.fixture
def table(tmp_path):
    return small_table(tmp_path / "table")


@pytest.fixture
def nearest(table):
    return Nearest(table)


@pytest.fixture
def hello(nearest):
    ids = (f"h{n}" for n in itertools.count(1))
    return Hello(nearest, lambda: next(ids))


def request(text, k, min_chance=0.0):
    return NearestRequest("r", Port.parse(text), Count(k), min_chance)


@pytest.mark.parametrize(
    ("port", "k", "ports"),
    [
        ("22/tcp", 2, ("23/tcp", "2222/tcp")),
        ("22/tcp", 99, ("23/tcp", "2222/tcp", "80/tcp")),
        ("22/tcp", 0, ()),
        ("53/udp", 3, ("123/udp",)),
        ("22/udp", 3, ()),
        ("9999/tcp", 3, ()),
    ],
)
def test_the_nearest_ports_are_answered(nearest, table, port, k, ports):
    """A request is answered with the k nearest; with all there are when k is more, with none for a port unseen."""
    expected = NearestResponse("r", Port.parse(port), table.id, tuple(map(Port.parse, ports)), (), "")
    assert [expected] == Service(nearest).receive(request(port, k), now=0.0)


def test_chances_are_answered_and_cut_by(tmp_path):
    """The answer carries the chances of what reaches the cut-off; -1 leaves it to the table (0.2)."""
    service = Service(Nearest(table_with_chances(tmp_path / "t", cutoff=0.2)))
    found = {cut: service.receive(request("22/tcp", 32, cut), now=0.0)[0].chances for cut in (-1.0, 0.0, 0.3, 1.0)}
    assert {-1.0: 2, 0.0: 3, 0.3: 1, 1.0: 0} == {cut: len(chances) for cut, chances in found.items()}
    assert (0.5, 0.25, 0.01) == pytest.approx(found[0.0], abs=1e-6)


def test_a_cutoff_that_cannot_be_applied_is_answered_with_why(nearest, table):
    """A table without chances, or a chance that is none, is said to the one who asked; nothing is predicted."""
    for cut, why in ((0.1, "has no chances"), (1.5, "between 0"), (-0.5, "between 0")):
        (answer,) = Service(nearest).receive(request("22/tcp", 3, cut), now=0.0)
        assert (table.id, ()) == (answer.table_id, answer.ports)
        assert why in answer.error


def about(*ports, k=32, min_chance=-1.0, probed=None, seconds=9.5):
    recent = tuple(map(Port.parse, ports))
    return SourceRequest("s", recent, Count(probed or len(recent)), timedelta(seconds=seconds), Count(k), min_chance)


def test_a_source_is_answered_by_what_it_did(nearest, table):
    """22, then 25: the step of 3 leads to 28 and 31; what is known of the source reaches the model as it was said."""
    model = with_model(table)
    service = Service(nearest)
    for cut, ports, chances in ((-1.0, ("28",), (0.5,)), (0.0, ("28", "31"), (0.5, 0.25)), (0.6, (), ())):
        expected = SourceResponse("s", table.id, tuple(map(Port.parse, ports)), chances, True, "")
        assert [expected] == service.receive(about("25", "22", min_chance=cut, probed=7), now=0.0)
        assert ([25, 22], 7, 9.5, 32, cut) == model.asked
    service.receive(about("53/udp", "22"), now=0.0)
    assert [65536 + 53, 22] == model.asked[0]


def test_nothing_is_remembered_between_questions(nearest, table):
    """The same question has the same answer whatever was asked before; the answer about a port does not change."""
    with_model(table)
    service = Service(nearest)
    first = [service.receive(one, now=0.0) for one in (about("25", "22"), request("22/tcp", 3))]
    service.receive(about("22", "9", "25"), now=1.0)
    assert first == [service.receive(one, now=9.0) for one in (about("25", "22"), request("22/tcp", 3))]


def test_without_a_model_or_a_step_the_latest_port_answers(nearest, table):
    """A table that was replaced meanwhile, or a source with one port: the nearest ports, and the answer says so."""
    expected = [SourceResponse("s", table.id, tuple(map(Port.parse, ("23", "2222"))), (), False, "")]
    assert expected == Service(nearest).receive(about("22", "80", k=2), now=0.0)
    with_model(table)
    assert expected == Service(nearest).receive(about("22", k=2), now=0.0)


@pytest.mark.parametrize("cut", [1.5, -0.5])
def test_a_question_about_a_source_with_a_wrong_cutoff_is_answered_with_why(nearest, table, cut):
    """A chance above 1, or below 0 and not -1, is named; nothing is predicted."""
    with_model(table)
    (answer,) = Service(nearest).receive(about("25", "22", min_chance=cut), now=0.0)
    assert ((), False) == (answer.ports, answer.of_source)
    assert f"a cut-off (min_chance) of {cut}" in answer.error


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: about(probed=1), "are 0, not 1 to 8"),
        (lambda: about(*map(str, range(1, 10))), "are 9, not 1 to 8"),
        (lambda: about("22", "22"), "not so many different ones"),
        (lambda: about("22", "23", probed=1), "not so many different ones"),
        (lambda: about("22", "23", seconds=-0.001), "negative"),
    ],
)
def test_what_is_no_history_is_refused(wrong, why):
    """No port, too many, the same one twice, fewer probed than named, a negative time."""
    with pytest.raises(ValueError, match=why):
        wrong()


def test_what_can_be_asked_is_said_with_the_table(hello, nearest, table, tmp_path):
    """When Zeek answers the hello, and when the table is replaced by one with a model, or without."""
    service = Service(hello, nearest)
    service.connected(now=0.0)
    greeted = HelloResponse("h1", Count(PROTOCOL), "zeek", "8.0.9")
    assert [TableChanged(table.id, Count(3), False)] == service.receive(greeted, now=0.1)
    other = small_table(tmp_path / "other", shift=1)
    with_model(other)
    assert [TableChanged(other.id, Count(3), True)] == nearest.replace(other)
    assert [TableChanged(other.id, Count(3), True)] == service.receive(greeted, now=0.2)
    assert [TableChanged(table.id, Count(3), False)] == nearest.replace(table)


def test_another_version_of_the_package_gets_no_table(hello, nearest):
    """Its events may have other arguments."""
    service = Service(hello, nearest)
    service.connected(now=0.0)
    assert [] == service.receive(HelloResponse("h1", Count(PROTOCOL - 1), "zeek", "8.0.9"), now=0.1)


def test_a_new_table_is_answered_from_and_announced(nearest, tmp_path):
    """After a replacement, Zeek gets the new id, and answers carry it."""
    other = small_table(tmp_path / "other", shift=1)
    assert [TableChanged(other.id, Count(3), False)] == nearest.replace(other)
    (answer,) = Service(nearest).receive(request("22/tcp", 1), now=0.0)
    assert (other.id, (Port(24, "tcp"),)) == (answer.table_id, answer.ports)


def test_an_equal_table_is_not_announced(nearest, tmp_path):
    """A table with the same content, loaded again, does not empty Zeek's cache."""
    assert [] == nearest.replace(small_table(tmp_path / "same"))


def test_hello_is_said_on_connecting(hello, nearest, table):
    """The first message on a connection says who we are, and which table answers."""
    expected = HelloRequest("h1", Count(PROTOCOL), f"portkin/{__version__}", table.id, Count(3))
    assert [expected] == Service(hello, nearest).connected(now=10.0)


def test_hello_is_repeated_until_it_is_answered(hello):
    """The same hello is said again after 0.25 s, 0.5 s, 1 s, ..., and never after the answer."""
    service = Service(hello)
    said = service.connected(now=0.0)
    waits = []
    for _ in range(3):
        due = service.due()
        waits.append(due)
        said += service.tick(due)
    assert [0.25, 0.75, 1.75] == waits
    assert 1 == len(set(said))
    service.receive(HelloResponse("h1", Count(PROTOCOL), "zeek", "8.0.9"), now=2.0)
    assert (None, []) == (service.due(), service.tick(1e9))


def test_the_wait_between_hellos_is_capped(hello):
    """Against a Zeek that never answers the pace falls to one hello in half a minute."""
    service = Service(hello)
    service.connected(now=0.0)
    for _ in range(20):
        last = service.due()
        service.tick(last)
    assert HELLO_LAST == service.due() - last


def test_nothing_is_said_before_its_time(hello):
    """A tick before the time that was asked for does nothing."""
    service = Service(hello)
    service.connected(now=0.0)
    assert [] == service.tick(0.1)


def test_an_answer_to_another_hello_is_not_ours(hello):
    """The answer that Zeek gives to another sidecar on the same topic ends nothing."""
    service = Service(hello)
    service.connected(now=0.0)
    service.receive(HelloResponse("somebody", Count(1), "zeek", "8.0.9"), now=0.1)
    assert (0.25, None) == (service.due(), hello.answer)


def test_a_new_connection_begins_with_a_new_hello(hello):
    """After a reconnect the old answer is forgotten."""
    service = Service(hello)
    service.connected(now=0.0)
    service.receive(HelloResponse("h1", Count(PROTOCOL), "zeek", "8.0.9"), now=0.1)
    (said,) = service.connected(now=5.0)
    assert ("h2", None) == (said.reqid, hello.answer)


def test_a_message_that_nobody_handles_is_junk(nearest):
    """Our own kinds of message, coming back from a peer, are counted and nothing else."""
    outcome = Service(nearest).receive(TableChanged("x", Count(1), False), now=0.0)
    assert Junk("unexpected", "nothing here handles Portkin::table_changed") == outcome


def test_two_parts_cannot_handle_the_same_message(nearest, table):
    """A composition in which one message has two handlers is refused when it is made."""
    with pytest.raises(ValueError, match="nearest_request"):
        Service(nearest, Nearest(table))


def test_the_earliest_part_is_waited_for(hello):
    """With several parts waiting, the service waits for the first of them and wakes only that one."""

    class Later(Part):
        due = 99.0

        def tick(self, now):
            raise AssertionError

    service = Service(hello, Later())
    service.connected(now=0.0)
    assert 0.25 == service.due()
    assert 1 == len(service.tick(0.25))
