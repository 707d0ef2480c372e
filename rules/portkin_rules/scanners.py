"""The rules that find scanners: contacts that fail count, contacts that are answered clear a source.

A contact is *new* if its source did not try that host, or that port, of late. A rule that finds one sets the flowbit
``pknew``, which exactly one of the later rules consumes:

- A source has ``count - 1`` *places* (bits ``pkopen1`` and on). A new contact takes the first free one, on its source
  and, as a flowbit, on its flow. The place is *young* (``pkyoung1``) for a second. Each place ends by itself.
- The first answer frees the place, and one more whose contact has failed: successes weigh against failures, as in
  Jung et al., Fast Portscan Detection Using Sequential Hypothesis Testing (IEEE S&P 2004).
- A refusal ends the youth of the place, so that its contact has failed at once.
- A new contact whose source has no place left makes the source a scanner, if the first half of the places are not
  young: none of ``count`` contacts is answered, and half of them have failed.
- Otherwise it is counted in a *burst*, which an answer to any of them ends. The last of `BURST` makes the source a
  scanner: none of so many was answered. A client that opens connections side by side has answers before that.

So a contact that is in flight is no evidence, and neither is one that found no place. Places are set and freed one by
one, hence packet threads that race lose a contact at worst, and never count one twice.

An inside host that opens a connection to an outside one makes the two *peers* (``pkpeer``), whose contacts do not
count: active FTP, ident, late datagrams of a server.

Suricata orders rules by their use of flowbits, then of host bits, of pair bits, by priority, and by signature id
(src/detect-engine-sigorder.c, 7.0.10 and 8.0.6). Rules that consume a flowbit all test a host bit, so that their ids
order them. It skips a rule that tests a flowbit where the flow has none, before it looks at the packet; so a SYN of a
known scanner has no flowbits, and a SYN of another has ``pkunknown`` until the rules for new ports have looked at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from suricataparser.rule import Rule

from portkin.net.ports import Proto
from portkin_rules.packets import (
    ANSWER,
    FIRST_PACKET,
    REFUSAL,
    Options,
    consume,
    isnotset,
    isset,
    mark,
    put,
    renew,
    to_client,
    to_server,
    unset,
    writes,
)
from portkin_rules.plan import Plan
from portkin_rules.rule import new_rule
from portkin_rules.sids import Sids

PATIENCE = 1
"""Seconds in which an answer is waited for. Bits end by whole seconds, so it takes one to two."""

UNITS, SIXTEENS = 15, 3
"""Bits that count a burst: up to 15 contacts, and up to 3 times 16."""
BURST = (UNITS + 1) * (SIXTEENS + 1)
"""The further new contact, in a row without an answer, that makes a scanner while none has had time to fail."""

SCANNER, HOST, PEER = "pkscanner", "pkhost", "pkpeer"
NEW, ASKED, CREDIT = "pknew", "pkasked", "pkcredit"
UNKNOWN = "pkunknown"
"""A flow whose source is no scanner, while the rules for new TCP ports look at its SYN."""

_TAKE, _UNIT, _SIXTEEN = 2, 66, 81
_UNKNOWN, _LOOKED, _PEER, _HOST = 86, 87, 89, 90
"""Numbers of rules for first packets; one that is evaluated before another has a lower number."""
_CREDIT, _LAPSE, _ASKED, _REFUSED = 64, 128, 129, 130
"""Numbers of rules for answers."""


def scanner_rules(
    plan: Plan, proto: Proto, ports: Sequence[str], *, sids: Sids, metadata: Mapping[str, object]
) -> Iterator[Rule]:
    """Yield the rules of a protocol that count contacts and find scanners; ``ports`` are lists of destination ports, a
    new host is looked for at."""

    def rule(header: str, msg: str, options: Options, sid: int, *, alerts: bool = False) -> Rule:
        text = f"PORTKIN {msg}"
        return new_rule("alert", header, options, msg=text, sid=sid, metadata=metadata, noalert=not alerts)

    first, inbound, outbound = FIRST_PACKET[proto], to_server(proto), to_client(proto)
    memory = plan.detector.memory
    if proto == "tcp":
        options = [*first, isnotset(SCANNER), mark(UNKNOWN)]
        yield rule(inbound, "SYN of a source that is no scanner", options, sids.count(_UNKNOWN, proto))
        options = [*first, *consume(UNKNOWN), isnotset(SCANNER), writes(), ("priority", "1")]
        yield rule(inbound, "SYN looked at", options, sids.count(_LOOKED, proto))
    for number, some in enumerate(ports):
        options = [*first, isnotset(SCANNER), isnotset(HOST, "ip_pair"), isnotset(PEER, "ip_pair")]
        options += [put(HOST, memory, "ip_pair"), mark(NEW)]
        yield rule(to_server(proto, some), "new host for a source", options, sids.count(_HOST + number, proto))
    for number, msg, options, alerts in _contacts(plan):
        yield rule(inbound, msg, [*first, *options], sids.count(number, proto), alerts=alerts)
    # Where a network is both at home and outside, its first packet is a contact, whose pair is known by now.
    options = [*first, isnotset(SCANNER), isnotset(HOST, "ip_pair"), isnotset(PEER, "ip_pair")]
    yield rule(outbound, "peer", [*options, put(PEER, memory, "ip_pair")], sids.count(_PEER, proto))
    for number, msg, options in _answers(plan):
        yield rule(outbound, msg, [*ANSWER[proto], *options], sids.answer(number, proto))
    if proto == "tcp":
        for place in _places(plan):
            options = [*REFUSAL, *consume(_open(place)), unset(_young(place), "ip_dst")]
            yield rule(outbound, f"refused contact {place}", options, sids.answer(_REFUSED + place - 1, proto))


def _places(plan: Plan) -> range:
    return range(1, plan.detector.count)


def _open(place: int) -> str:
    return f"pkopen{place}"


def _young(place: int) -> str:
    return f"pkyoung{place}"


def _unit(number: int) -> str:
    return f"pkunit{number}"


def _sixteen(number: int) -> str:
    return f"pksixteen{number}"


def _contacts(plan: Plan) -> Iterator[tuple[int, str, Options, bool]]:
    """Number, message, options and whether it alerts, of the rules for what comes of a new contact."""
    count, seconds, memory = plan.detector.count, plan.detector.seconds, plan.detector.memory
    places, new = _places(plan), consume(NEW)
    found: Options = [
        *(unset(_open(place)) for place in places),
        *renew(SCANNER, memory),
        ("target", "dest_ip"),
        ("classtype", "attempted-recon"),
    ]
    failed = [*map(isset, map(_open, places)), *map(isnotset, map(_young, places[: count // 2]))]
    yield 0, f"scanner after {count} new contacts without an answer within {seconds} s", [*new, *failed, *found], True
    full = [isset(_sixteen(SIXTEENS)), isset(_unit(UNITS))]
    yield 1, f"scanner after {count - 1 + BURST} new contacts at once, none answered", [*new, *full, *found], True
    for place in places:
        options = [*new, isnotset(_open(place)), put(_open(place), seconds), *renew(_young(place), PATIENCE)]
        yield _TAKE + place - 1, f"new contact {place}", [*options, mark(_open(place)), mark(ASKED)], False
    for number in range(1, UNITS + 1):
        options = [*new, isnotset(_unit(number)), put(_unit(number), PATIENCE), mark(ASKED)]
        yield _UNIT + number - 1, f"new contact in a burst, {number}", options, False
    carry = [unset(_unit(number)) for number in range(1, UNITS + 1)]
    for number in range(1, SIXTEENS + 1):
        options = [*new, isnotset(_sixteen(number)), *carry, put(_sixteen(number), PATIENCE), mark(ASKED)]
        yield _SIXTEEN + number - 1, f"new contact in a burst, {16 * number}", options, False


def _answers(plan: Plan) -> Iterator[tuple[int, str, Options]]:
    """Number, message and options of the rules for answers; the source that is counted is their destination."""
    for place in _places(plan):
        taken, young = _open(place), _young(place)
        options = [*consume(taken), isset(taken, "ip_dst"), unset(taken, "ip_dst"), unset(young, "ip_dst")]
        yield place - 1, f"answered contact {place}", [*options, mark(CREDIT)]
        failed = [isset(taken, "ip_dst"), isnotset(young, "ip_dst")]
        options = [*consume(CREDIT), *failed, unset(taken, "ip_dst")]
        yield _CREDIT + place - 1, f"answered contact, {place} forgiven", options
    yield _LAPSE, "answered contact, nothing to forgive", consume(CREDIT)
    burst = [_unit(number) for number in range(1, UNITS + 1)] + [_sixteen(number) for number in range(1, SIXTEENS + 1)]
    yield _ASKED, "end of a burst", [*consume(ASKED), *(unset(bit, "ip_dst") for bit in burst)]
