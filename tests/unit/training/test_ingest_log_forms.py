"""Every form in which a program writes its log says the same (recorded by tests/captures/make-log-forms.sh)."""

import gzip
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portkin_training.core.dataset import load
from portkin_training.core.probes import Probes
from portkin_training.ingest.inputs import detect
from portkin_training.ingest.run import IngestOptions, ingest
from portkin_training.ingest.tables.columns import ColumnMap

LOGS = Path(__file__).parents[2] / "captures" / "logs"
FORMS = LOGS / "forms"
SECOND, MINUTE = 1_000_000, 60_000_000
TOKYO = ColumnMap(tz="Asia/Tokyo")
A, B = 0xFFFF_C633_6407, 0xFFFF_C000_020A
"""198.51.100.7 and 192.0.2.10, IPv4-mapped."""


def named(pattern: str) -> list[str]:
    """The names of the recordings that match."""
    return sorted(path.name for path in FORMS.iterdir() if re.match(pattern, path.name))


def probes_of(path: Path, folder: Path, **options) -> Probes:
    """The probes of a recording in which no line is bad."""
    summary = ingest([path], folder / "probes", IngestOptions(**options))
    assert [0] == [reading.bad for reading in summary.readings]
    return load(folder / "probes")


def ends(probes: Probes) -> list[tuple[int, ...]]:
    """(source, destination, source port, destination port, protocol) of each, sorted."""
    columns = probes.src[:, 1], probes.dst[:, 1], probes.sport, probes.dport, probes.proto
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def made(text: str) -> float:
    """When the kernel logged, us since 1970, out of a recording whose times name their zone."""
    found = re.search(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d", text)
    return datetime.fromisoformat(found[0] + "+09:00").astimezone(UTC).timestamp() * 1e6


@pytest.mark.parametrize("name", named("zeek-"))
def test_zeek(tmp_path, name):
    """8.0 and 9.0, as columns and as JSON with seconds, milliseconds or ISO 8601: the same probes at the same times."""
    expected, found = probes_of(LOGS / "conn.log.gz", tmp_path / "one"), probes_of(FORMS / name, tmp_path / "other")
    assert 121 == len(expected)
    assert ends(expected) == ends(found)
    assert 1000 > abs(expected.ts - found.ts).max()


def test_suricata_8(tmp_path):
    """Suricata 8 writes what 7 does."""
    expected, found = (
        probes_of(LOGS / "eve.json.gz", tmp_path / "7"),
        probes_of(FORMS / "suricata-8.json.gz", tmp_path / "8"),
    )
    assert (ends(expected), expected.ts.tolist()) == (ends(found), found.ts.tolist())


@pytest.mark.parametrize("name", named("dmesg|rsyslog|journalctl"))
def test_kernel_lines(tmp_path, name):
    """Rules of ufw, firewalld and nftables, by dmesg, rsyslog and journalctl, in every form that has a date."""
    recorded = made(gzip.decompress((FORMS / "dmesg-iso.log.gz").read_bytes()).decode())
    path = tmp_path / "log"
    path.write_bytes(gzip.decompress((FORMS / name).read_bytes()))
    assert ("journal" if "json" in name else "netfilter") == detect(path)
    found = probes_of(path, tmp_path, columns=TOKYO)
    v6 = 0x7, 0x10, 40000, 22, 6
    assert [v6, (A, B, 40000, 22, 6), (A, B, 40000, 80, 6), (A, B, 40000, 161, 17)] == ends(found)
    assert all(-SECOND <= ts - recorded < MINUTE for ts in found.ts)


STARTED = {"honeytrap": "2026-12-01T01:18:00", "dionaea": "2026-12-01T01:30:00"}
"""When those were asked that were not asked with all others, by the clock of Tokyo."""
HONEYPOTS = {
    "cowrie": [(2222, 6, 40004), (2223, 6, 40003)],
    "opencanary": [(21, 6, 40001), (22, 6, 40002), (23, 6, 40003), (69, 17, 40006), (80, 6, 40004), (123, 17, 40005)],
    "endlessh": [(22, 6, 40001), (22, 6, 40002)],
    "honeytrap": [(23, 6, 40001), (23, 6, 40003), (5060, 17, 40004), (8080, 6, 40002)],
    "dionaea": [(21, 6, 40001), (23, 6, 40002), (42, 6, 40004), (5060, 17, 40008)],
}


@pytest.mark.parametrize("kind", HONEYPOTS)
def test_honeypots(tmp_path, kind):
    """A session is a probe; --tz is for the times that are local, and changes none that are UTC."""
    [name] = named(kind)
    assert kind == detect(FORMS / name)
    recorded = made(STARTED.get(kind) or gzip.decompress((FORMS / "dmesg-iso.log.gz").read_bytes()).decode())
    found = probes_of(FORMS / name, tmp_path, columns=ColumnMap(tz="Asia/Tokyo", dst="192.0.2.10"))
    rows = zip(found.dport.tolist(), found.proto.tolist(), found.sport.tolist(), strict=True)
    assert HONEYPOTS[kind] == sorted(rows)
    assert all(0 <= ts - recorded < 2 * MINUTE for ts in found.ts)
