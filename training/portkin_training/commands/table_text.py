"""What ``portkin table`` prints about a table, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portkin.net.ports import Port, service_name
from portkin.wording import amount
from portkin_training.evaluation.sentences import recommended

if TYPE_CHECKING:
    from portkin.bundles.table import Neighbors, Table


def entries(near: Neighbors) -> Iterator[tuple[Port, float, float | None]]:
    """Port, distance and chance of each entry; None for a table without chances."""
    chances: Sequence[float | None] = near.chances or [None] * len(near.ports)
    return zip(near.ports, near.distances, chances, strict=True)


def shipped(said: Mapping[str, Any] | None) -> str:
    """Whether a table predicts by source, and what that found beside the table, in lines."""
    if said is None:
        return "no model, for want of sources that came to further ports"
    stated, observed = (said["chances"][name] for name in ("stated", "observed"))
    lines = [
        f"{_whether_shipped(said)}; {stated:.0f} sources were stated to come true and {observed:.0f} did",
        *(
            f"with {at['blocks']:,} blocks {at['by_source']:.1%}, the table {at['table']:.1%}"
            for at in said["equal_blocks"]
        ),
        recommended(said["cutoff"]),
    ]
    return "\n".join(lines)


def _whether_shipped(said: Mapping[str, Any]) -> str:
    if said["ships"]:
        return "a model, which the sidecar answers from"
    if not said["finds_more"]:
        return "no model: it does not find enough more than the table"
    if not said["chances"]["hold"]:
        return "no model: it finds more than the table, but its chances do not hold"
    return "no model: it finds more than the table, but less by its recommended cut-off"


def named(port: Port) -> str:
    """A port and, where it is known, its service."""
    service = service_name(port)
    return f"{port} ({service})" if service else str(port)


def known(loaded: Table) -> str:
    """How many ports of each protocol a table knows."""
    return " and ".join(amount(number, f"{proto} port") for proto, number in loaded.known.items())


def recorded(made_from: Mapping[str, Any]) -> str:
    """One dataset that a table was learnt from, on one line."""
    sources = [source["name"] for source in made_from["about"].get("sources", ())]
    of = f" of {', '.join(sources)}" if sources else ""
    return f"{made_from['rows']:,} probes{of}, {made_from['first']} to {made_from['last']}"


def chances(about: Mapping[str, Any]) -> str:
    """What the chances of a table are of."""
    return f"that a source now at a port probes another, new to it, within {about['horizon']:,.0f} s"


def counted(about: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was counted, by protocol, without the lists of numbers that only programs read."""
    return {
        proto: {name: value for name, value in part.items() if not isinstance(value, list)}
        for proto, part in about.items()
    }


def proof_of(found: Mapping[str, Any]) -> str:
    """The share of new ports that each predictor predicted in the held-out part."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    shares = [f"{name} {share(part['new_port_recall']['value'])}" for name, part in found["predictors"].items()]
    limit = f"best in hindsight {share(found['hindsight_oracle'])}"
    return f"of {found['new_ports']:,} new ports: {', '.join([*shares, limit])}"


def flat(value: object, level: int = 0) -> str:
    """A value of the manifest: a line for each of its parts, and these on their line."""
    if isinstance(value, dict):
        separator = ", " if level else "\n"
        return separator.join(f"{name}{' ' if level else ': '}{flat(part, level + 1)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(flat(part, level + 1) for part in value)
    return str(value)
