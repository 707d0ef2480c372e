"""``portkin blocks export``: what others read of the blocks."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time

import pytest
import stix2
from click.testing import CliRunner

from portkin.blocking.database import open_database
from portkin.blocking.export import as_crowdsec, as_csv, as_plain, as_stix2, exported
from portkin.blocking.limits import Limits
from portkin.commands.blocks import blocks
from portkin.errors import StorageError
from portkin.net.ports import Port
from support.enforcing import nets

NOW = 1_600_000_000.0


def row(number, src="203.0.113.5", port=80, **more):
    """A row as `Listing.rows` has it: a block that began 100 s ago and has 500 s left."""
    return {
        "id": number, "src": src, "port": port, "proto": "tcp", "rank": 0, "probed": f"{port}/tcp", "table_id": "t",
        "reason": "evidence=TRW", "since": NOW - 100, "until": NOW + 500, "extensions": 0, "mode": "nftables",
        "hit": 0, "packets": 0, "bytes": 0, "outcome": None, "ended": None, **more,
    }  # fmt: skip


def test_what_is_not_blocked_is_not_handed_on():
    """Ended, held out, over, in a never-block net or port: none of these is exported; the oldest comes first."""
    rows = [
        row(9, port=22),
        row(8, port=23, outcome="removed", ended=NOW - 1),
        row(7, port=24, mode="holdout"),
        row(6, port=25, until=NOW),
        row(5, src="192.0.2.7"),
        row(4, port=443),
        row(3),
    ]
    limits = Limits(never_nets=nets("192.0.2.0/24"), never_ports=(Port(443, "tcp"),))
    assert [3, 9] == [kept["id"] for kept in exported(rows, limits, NOW)]


def test_plain_has_each_source_once():
    """Sources stand by address, IPv4 first, however many ports are blocked."""
    rows = [row(1, "2001:db8::1"), row(2, "203.0.113.10"), row(3, "203.0.113.9"), row(4, "203.0.113.9", 81)]
    assert "203.0.113.9\n203.0.113.10\n2001:db8::1\n" == "".join(as_plain(rows, NOW))


def test_csv_has_every_block_and_no_formula():
    """A block is a line whatever its reason holds; text that a spreadsheet would calculate is text."""
    rows = [row(1, reason='=HYPERLINK("http://x")'), row(2, reason='a "quote", two\nlines, \x1b[31m red')]
    header, first, second = csv.reader(io.StringIO("".join(as_csv(rows, NOW)), newline=""))
    assert ["src", "port", "proto"] == header[:3]
    assert ["203.0.113.5", "80", "tcp", "2020-09-13T12:25:00.000Z", "2020-09-13T12:35:00.000Z"] == first[:5]
    assert ['\'=HYPERLINK("http://x")', 'a "quote", two\\nlines, \\x1b[31m red'] == [first[-1], second[-1]]


def test_crowdsec_bans_the_address_until_its_last_block_ends():
    """A decision has what CrowdSec's local API requires of one, and what `cscli decisions import` reads."""
    rows = [row(1), row(2, port=81, until=NOW + 900.7), row(3, "203.0.113.6", until=NOW + 0.5)]
    (decision,) = json.loads("".join(as_crowdsec(rows, NOW)))
    assert {"origin", "type", "scope", "value", "duration", "scenario"} <= decision.keys()  # localapi_swagger.yaml
    wanted = {"duration": "900s", "reason": "portkin/scan", "scope": "ip", "type": "ban", "value": "203.0.113.5"}
    assert wanted == {name: decision[name] for name in wanted}


def test_stix_is_read_by_the_reference_library():
    """The stix2 library takes the bundle strictly; an indicator is the source, for as long as it is blocked."""
    rows = [row(1), row(2, port=81, rank=2, until=NOW + 900), row(3, "2001:db8::1")]
    bundle = stix2.parse("".join(as_stix2(rows, NOW)), allow_custom=False)
    author, first, second = bundle.objects
    assert ("portkin", author.id) == (author.name, first.created_by_ref)
    assert ["[ipv4-addr:value = '203.0.113.5']", "[ipv6-addr:value = '2001:db8::1']"] == [first.pattern, second.pattern]
    assert (NOW - 100, NOW, NOW - 100, NOW + 900) == tuple(
        moment.timestamp() for moment in (first.created, first.modified, first.valid_from, first.valid_until)
    )
    assert "Probed 80/tcp. " in first.description  # 81 was predicted


def test_a_later_export_is_a_version_of_the_same_indicator():
    """Exported again, a source has the same id and beginning, and was modified later."""
    first, again = (stix2.parse("".join(as_stix2([row(1)], now))).objects[1] for now in (NOW, NOW + 60))
    assert (first.id, first.created) == (again.id, again.created)
    assert first.modified < again.modified


@pytest.mark.parametrize("form", ["plain", "csv", "stix2", "crowdsec"])
def test_without_blocks_every_format_is_valid_and_empty(form, tmp_path):
    """A database without a block gives an empty list."""
    open_database(tmp_path / "b", NOW)[0].close()
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"database": str(tmp_path / "b")}}))
    ran = CliRunner().invoke(blocks, ["export", "--format", form, "-c", str(config)], catch_exceptions=False)
    sizes = {"plain": 0, "csv": 1}
    found = json.loads(ran.stdout) if form not in sizes else ran.stdout.splitlines()
    assert (0, sizes.get(form, 0)) == (ran.exit_code, len(found["objects"]) - 1 if form == "stix2" else len(found))


def test_without_a_database_nothing_is_exported(tmp_path):
    """An empty list ends all blocks of whoever takes it, so a wrong path must not look like one."""
    config, listed = tmp_path / "p.yaml", tmp_path / "list"
    config.write_text(json.dumps({"enforce": {"database": str(tmp_path / "b")}}))
    listed.write_text("203.0.113.5\n")
    with pytest.raises(StorageError, match="b: there is no block database, so nothing was exported"):
        CliRunner().invoke(blocks, ["export", "-o", str(listed), "-c", str(config)], catch_exceptions=False)
    assert "203.0.113.5\n" == listed.read_text()


def test_the_command_writes_a_file_whole(tmp_path):
    """-o makes its folder, and says that blocks of a shadow are nobody's."""
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"database": str(tmp_path / "b")}}))
    CliRunner().invoke(blocks, ["add", "203.0.113.5", "80", "81", "-c", str(config)], catch_exceptions=False)
    path = tmp_path / "new" / "blocks.txt"
    ran = CliRunner().invoke(blocks, ["export", "-o", str(path), "-c", str(config)], catch_exceptions=False)
    assert ("203.0.113.5\n", "", True) == (path.read_text(), ran.stdout, "shadow" in ran.stderr)


def test_a_hundred_thousand_blocks_are_exported(tmp_path):
    """All active blocks are exported, not the latest thousand that a list shows."""
    config, database = tmp_path / "p.yaml", tmp_path / "b"
    config.write_text(json.dumps({"enforce": {"database": str(database)}}))
    CliRunner().invoke(blocks, ["add", "203.0.113.5", "80", "-c", str(config)], catch_exceptions=False)
    with sqlite3.connect(database) as db:
        db.executemany(
            "INSERT INTO blocks (src, port, proto, rank, probed, table_id, reason, since, until, mode) "
            "VALUES ('198.51.100.1', ?, ?, 1, '', '', '', ?, ?, 'shadow')",
            [(n % 50_000 + 1, ("tcp", "udp")[n // 50_000], time.time(), time.time() + 900) for n in range(99_999)],
        )
    db.close()
    ran = CliRunner().invoke(blocks, ["export", "--format", "csv", "-c", str(config)], catch_exceptions=False)
    assert 100_001 == len(ran.stdout.splitlines())
