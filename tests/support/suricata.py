"""A real Suricata over a capture, and the openings of that capture for the twin of the rules."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dpkt

from portkin.net.addresses import text_of
from portkin.net.ports import Port
from portkin_rules.sids import Sids
from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.packets import ACK, RST, SYN, Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import addresses_of
from portkin_training.twin.suricata_rules import Answer, Opening, Refusal

CONFIG = """%YAML 1.1
---
vars:
  address-groups:
    HOME_NET: "{home}"
    EXTERNAL_NET: "{external}"
default-log-dir: .
classification-file: /etc/suricata/classification.config
reference-config-file: /etc/suricata/reference.config
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types:
        - alert
        - drop:
            alerts: yes
        - stats: {{totals: yes}}
stats:
  enabled: yes
logging:
  default-log-level: notice
  outputs:
    - console: {{enabled: {console}}}
    - file: {{enabled: yes, filename: suricata.log}}
app-layer:
  error-policy: ignore
unix-command:
  enabled: {socket}
{more}
"""


def write_config(
    folder: Path,
    *,
    home: str = "any",
    external: str = "any",
    more: str = "",
    socket: str = "no",
    console: str = "yes",
) -> Path:
    """A suricata.yaml in ``folder`` that logs alerts, drops and statistics there, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "suricata.yaml"
    path.write_text(
        CONFIG.format(home=home, external=external, more=more, socket=socket, console=console), encoding="utf-8"
    )
    return path


@cache
def whole_seconds(program: str) -> bool:
    """Whether this Suricata ends bits by whole seconds, as 7 does."""
    said = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stdout
    return "version 7." in said


@dataclass(frozen=True)
class Replayed:
    """What Suricata logged about a capture."""

    events: list[dict[str, Any]]
    log: str

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts, in order."""
        return [event for event in self.events if event["event_type"] == "alert"]

    def drops(self) -> list[dict[str, Any]]:
        """All dropped packets, in order."""
        return [event for event in self.events if event["event_type"] == "drop"]

    def blocks(self, ports: set[Port], sids: Sids | None = None) -> list[tuple[str, Port]]:
        """(source, port) of every alert of a block rule, in order."""
        of = {(sids or Sids()).block(port): port for port in ports}
        found = ((event["src_ip"], of.get(event["alert"]["signature_id"])) for event in self.alerts())
        return [(src, port) for src, port in found if port is not None]

    def scanners(self) -> list[str]:
        """The sources that became scanners, in order."""
        return [event["src_ip"] for event in self.alerts() if "scanner after" in event["alert"]["signature"]]


def dropped(got: Replayed) -> list[str]:
    """The source of every packet that a rule dropped."""
    return [
        str(ip_address(event["src_ip"])) for event in got.drops() if event["drop"]["reason"] == "rules"
    ]


def scanners_by_address(got: Replayed) -> list[str]:
    """The sources that became scanners, each address in its usual form."""
    return [str(ip_address(address)) for address in got.scanners()]


def replay(
    program: str, rules: Path, capture: Path, folder: Path, *options: str, home: str = "any", external: str = "any"
) -> Replayed:
    """Let Suricata read a capture with these rules, inline and in order of the packets; fails where it complains."""
    config = write_config(folder, home=home, external=external)
    run = subprocess.run(
        [program, "-c", config, "-S", rules, "-r", capture, "-l", folder, "-k", "none", "--runmode=single", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = (folder / "eve.json").read_text(encoding="utf-8").splitlines()
    return Replayed([json.loads(line) for line in lines], run.stderr)


def unpacked(capture: Path, folder: Path) -> Path:
    """The capture, without its gzip: Suricata reads none."""
    if capture.suffix != ".gz":
        return capture
    plain = folder / capture.stem
    with gzip.open(capture) as packed, plain.open("wb") as opened:
        shutil.copyfileobj(packed, opened)
    return plain


def whole(capture: Path, folder: Path) -> Path:
    """The capture without the packets it holds only in part, which Suricata takes for broken."""
    kept = folder / f"whole-{capture.name}"
    with capture.open("rb") as opened, kept.open("wb") as written:
        writer = dpkt.pcap.Writer(written)
        for ts, frame in dpkt.pcap.Reader(opened):
            if len(frame) >= 14 + int.from_bytes(frame[16:18], "big"):
                writer.writepkt(frame, ts)
    return kept


def openings(capture: Path) -> list[Opening]:
    """The packets of a capture that open connections, as Suricata's rules see them."""
    return [packet for packet in openings_and_answers(capture) if isinstance(packet, Opening)]


def openings_and_answers(capture: Path) -> Iterator[Opening | Answer | Refusal]:
    """The packets of a capture that open connections, answer or refuse them, as Suricata's rules see them."""
    answered: dict[tuple, bool] = {}
    for packets in read_capture(capture):
        yield from _openings_and_answers(packets, answered)


def _openings_and_answers(packets: Packets, answered: dict[tuple, bool]) -> Iterator[Opening | Answer | Refusal]:
    columns = (packets.ts, packets.sport, packets.dport, packets.proto, packets.flags)
    rows = zip(
        *(column.tolist() for column in columns), addresses_of(packets.src), addresses_of(packets.dst), strict=True
    )
    for ts, sport, dport, proto, flags, src, dst in rows:
        there, back = (src, sport, dst, dport, proto), (dst, dport, src, sport, proto)
        if proto == TCP:
            if flags & 0x3F == SYN:
                yield Opening(ts, text_of(src), text_of(dst), Port(dport, "tcp"), there)
            elif flags & 0x3F == SYN | ACK:
                yield Answer(ts, back)
            elif flags & 0x3F == RST | ACK:
                yield Refusal(ts, back)
        elif proto == UDP:
            if back in answered:
                answered[back] = True
                yield Answer(ts, back)
            elif not answered.setdefault(there, False):
                yield Opening(ts, text_of(src), text_of(dst), Port(dport, "udp"), there)
