"""The doctor's checks: facts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portkin.blocking.config import EnforceConfig
from portkin.blocking.limits import Limits
from portkin.config.schema import Config
from portkin.doctor.checks import check
from portkin.doctor.facts import (
    BundleFacts,
    ClockFacts,
    DatabaseFacts,
    Facts,
    Installation,
    NftablesFacts,
    SettingsFile,
    SidecarAnswers,
    SuricataFacts,
    ZeekAnswers,
    ZeekHere,
)
from portkin.doctor.findings import STATUS, Finding, in_words, verdict
from portkin.doctor.redaction import shown_settings
from portkin.rates.config import RatesConfig
from portkin.zeek.event import Count
from portkin.zeek.messages import PROTOCOL, StatusResponse

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
NEVER = timedelta(seconds=-1)
ADDRESS = "ws://127.0.0.1:27759/v1/messages/json"
ZEEK = StatusResponse(
    reqid="r",
    protocol=Count(PROTOCOL),
    node="zeek",
    zeek_version="8.0.10",
    backend="BROKER",
    scripts=("block", "detection", "rates", "websocket"),
    peers=(),
    mode="BLOCK",
    sidecar=True,
    table_id="0123456789ab",
    packets=Count(1000),
    scanners=Count(3),
    probe=timedelta(seconds=5),
    answer=timedelta(minutes=90),
    decision=NEVER,
    clock=NOW,
)
SAMPLES = {"portkin_connected": 1.0, "portkin_failures_total": 0.0, "portkin_messages_dropped_total": 0.0}
GREETED = {"node": "zeek", "version": "8.0.10", "protocol": str(PROTOCOL)}
SIDECAR = SidecarAnswers("http://127.0.0.1:9477/metrics", "answers", "", SAMPLES, "0123456789ab", GREETED)
TABLE = BundleFacts(Path("/t"), "0123456789ab", NOW - timedelta(days=10), "the 16 nearest ports by kin")
ANSWERS = ZeekAnswers(ADDRESS, "open", version="8.0.10", nodes=(ZEEK,), skew=0.1)
HERE = ZeekHere(
    ("/opt/zeek/bin/zeek",), (812,), (Path("/site/portkin"),), Path("/site/local.zeek"), ("portkin/websocket",)
)
NFTABLES = NftablesFacts("portkin", "libnftables.so.1", True, "present", held=2)
SURICATA = SuricataFacts(Path("/s"), "", "7.0.14 RELEASE", "NFQ", True, ("pk22",), ("pk22", "pk23"), 120)
HEALTHY = Facts(
    now=NOW,
    installation=Installation("0.1.0", "3.11.2", "/opt/portkin/bin/python", "Linux", "portkin"),
    settings=SettingsFile(Path("/etc/portkin/portkin.yaml"), Config()),
    table=TABLE,
    zeek=ANSWERS,
    zeek_here=HERE,
    sidecar=SIDECAR,
    databases=(DatabaseFacts("enforce.database", Path("/b"), "ours"),),
    clock=ClockFacts(True),
)


def codes(facts: Facts, level: str) -> list[str]:
    return [finding.code for finding in check(facts) if finding.level == level]


def with_zeek(**changes: object) -> Facts:
    return replace(HEALTHY, zeek=replace(ANSWERS, nodes=(replace(ZEEK, **changes),)))


def with_connection(connection: str, here: ZeekHere = HERE, **changes: object) -> Facts:
    return replace(HEALTHY, zeek=ZeekAnswers(ADDRESS, connection, **changes), zeek_here=here)


def with_settings(**sections: object) -> Facts:
    return replace(HEALTHY, settings=SettingsFile(None, Config(**sections)))


def with_backend(name: str, **facts: object) -> Facts:
    return replace(with_settings(enforce=EnforceConfig(backend=name)), **facts)


def test_where_all_is_well_the_verdict_is_so():
    """Nothing but ok, status 0, and a verdict in one word."""
    findings = check(HEALTHY)
    assert {"ok"} == {finding.level for finding in findings}
    assert ("ok", 0, "Works.") == (verdict(findings), STATUS[verdict(findings)], in_words(findings))


def test_activity_is_put_in_words():
    """Times as 5 s and 90 min, and what never was."""
    (activity,) = [f.what for f in check(HEALTHY) if f.code == "zeek.activity"]
    assert "3 scanners known; latest probe 5 s ago, answer of the sidecar 90 min ago, decision none yet" == activity


PROBLEMS = {
    "runtime": (
        replace(
            HEALTHY,
            installation=replace(
                HEALTHY.installation, missing={"runtime": ("zeekpy",)}, remedies={"runtime": "pip install zeekpy"}
            ),
        ),
        "installation.incomplete",
    ),
    "settings": (replace(HEALTHY, settings=SettingsFile(Path("/x"), None, "/x:3: wrong")), "settings.invalid"),
    "table": (replace(HEALTHY, table=BundleFacts(Path("/t"), error="/t: not a bundle")), "table.unusable"),
    "models": (replace(HEALTHY, models=BundleFacts(Path("/m"), error="/m: not a bundle")), "models.unusable"),
    "no sidecar": (replace(HEALTHY, sidecar=replace(SIDECAR, page="refused", samples={})), "sidecar.not-running"),
    "other page": (replace(HEALTHY, sidecar=replace(SIDECAR, page="foreign")), "sidecar.foreign"),
    "dead page": (replace(HEALTHY, sidecar=replace(SIDECAR, page="failed")), "sidecar.silent"),
    "not connected": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={"portkin_connected": 0.0})),
        "sidecar.not-connected",
    ),
    "hello": (replace(HEALTHY, sidecar=replace(SIDECAR, zeek={})), "sidecar.hello-unanswered"),
    "other backend": (
        replace(HEALTHY, nftables=NFTABLES, sidecar=replace(SIDECAR, backend="nftables")),
        "sidecar.other-backend",
    ),
    "backend not in force": (
        replace(HEALTHY, sidecar=replace(SIDECAR, pending=("enforce.backend",))),
        "sidecar.other-backend",
    ),
    "not written": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_block_database_ready": 0.0})),
        "block-database.not-written",
    ),
    "no zeek": (with_connection("refused", ZeekHere(("/z",))), "zeek.not-running"),
    "no package": (with_connection("refused", replace(HERE, packages=())), "zeek.no-package"),
    "not loaded": (with_connection("refused", replace(HERE, loads=("portkin",))), "zeek.not-loaded"),
    "other port": (with_connection("refused"), "zeek.refused"),
    "elsewhere": (with_connection("refused", ZeekHere(), loopback=False), "zeek.refused"),
    "no ack": (with_connection("not-acknowledged"), "zeek.not-acknowledged"),
    "hangs": (with_connection("timeout"), "zeek.hangs"),
    "timeout": (with_connection("timeout", loopback=False), "zeek.timeout"),
    "unreachable": (with_connection("unreachable"), "zeek.unreachable"),
    "host": (with_connection("unknown-host"), "zeek.unknown-host"),
    "tls": (with_connection("tls"), "zeek.tls"),
    "http": (with_connection("not-websocket"), "zeek.not-websocket"),
    "closed": (with_connection("closed"), "zeek.closes"),
    "no portkin": (
        replace(HEALTHY, zeek=replace(ANSWERS, nodes=(), refused="unknown event")),
        "zeek.no-portkin",
    ),
    "silent": (replace(HEALTHY, zeek=replace(ANSWERS, nodes=())), "zeek.silent"),
    "protocol": (with_zeek(protocol=Count(PROTOCOL + 1)), "zeek.protocol"),
    "zeek alone": (with_zeek(sidecar=False), "zeek.no-sidecar"),
    "no way": (with_zeek(sidecar=False, scripts=("detection",)), "zeek.not-loaded"),
    "no nft": (with_backend("nftables", nftables=NftablesFacts("portkin")), "blocking.no-nftables"),
    "nft refuses": (
        with_backend("nftables", nftables=replace(NFTABLES, state="unreadable")),
        "blocking.nftables-refuses",
    ),
    "no table": (with_backend("nftables", nftables=replace(NFTABLES, state="missing")), "blocking.table-missing"),
    "no suricata": (with_backend("suricata", suricata=SuricataFacts(Path("/s"), "gone")), "blocking.no-suricata"),
    "no rules": (with_backend("suricata", suricata=replace(SURICATA, tested=())), "blocking.no-rules"),
    "foreign": (
        replace(HEALTHY, databases=(DatabaseFacts("enforce.database", Path("/b"), "foreign"),)),
        "block-database.foreign",
    ),
    "unreadable": (
        replace(HEALTHY, databases=(DatabaseFacts("rates.database", Path("/r"), "unreadable"),)),
        "rates-database.unreadable",
    ),
}


@pytest.mark.parametrize(("facts", "code"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_does_not_work_is_a_problem(facts, code):
    """One problem, by its name, with a remedy; the status is that of a failure."""
    assert [code] == codes(facts, "problem")
    findings = check(facts)
    assert all(finding.remedy for finding in findings if finding.level == "problem")
    assert (2, "Does not work: 1 problem") == (STATUS[verdict(findings)], in_words(findings)[:24])


def with_errors(latest: datetime) -> Facts:
    """A sidecar that had two failures of blocking, the later one then."""
    counted = {
        "portkin_block_errors_total": 2.0,
        "portkin_block_latest_error_timestamp_seconds": latest.timestamp(),
    }
    return replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, **counted}))


WARNINGS = {
    "not served": (replace(HEALTHY, table=replace(TABLE, id="ba9876543210")), "table.not-served"),
    "old": (replace(HEALTHY, table=replace(TABLE, created=NOW - timedelta(days=366))), "table.old"),
    "dropped": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_messages_dropped_total": 7.0})),
        "sidecar.dropped",
    ),
    "defects": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_failures_total": 1.0})),
        "sidecar.defects",
    ),
    "errors": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_block_errors_total": 1.0})),
        "sidecar.block-errors",
    ),
    "foreign elements": (
        replace(HEALTHY, sidecar=replace(SIDECAR, samples={**SAMPLES, "portkin_block_foreign_elements": 2.0})),
        "sidecar.foreign-elements",
    ),
    "recent errors": (with_errors(NOW - timedelta(hours=23)), "sidecar.block-errors"),
    "pending": (
        replace(HEALTHY, sidecar=replace(SIDECAR, pending=("metrics.port", "table.poll"))),
        "sidecar.settings-pending",
    ),
    "nearly full": (
        replace(HEALTHY, databases=(DatabaseFacts("enforce.database", Path("/b"), "ours", free=4096),)),
        "block-database.disk-full",
    ),
    "no packets": (with_zeek(packets=Count(0)), "zeek.no-packets"),
    "nodes": (
        with_zeek(node="manager", peers=("logger-1", "proxy-1", "worker-1")),
        "zeek.nodes-absent",
    ),
    "other table": (with_zeek(table_id="ba9876543210"), "zeek.other-table"),
    "no block": (
        replace(
            with_zeek(scripts=("websocket",)),
            settings=SettingsFile(None, Config(enforce=EnforceConfig(backend="nftables"))),
            nftables=NFTABLES,
        ),
        "zeek.no-block",
    ),
    "no rates": (
        replace(
            with_zeek(scripts=("websocket",)),
            settings=SettingsFile(None, Config(rates=RatesConfig(model=Path("/m")))),
        ),
        "zeek.no-rates",
    ),
    "skew": (replace(HEALTHY, zeek=replace(ANSWERS, skew=-9.0)), "clock.differs"),
    "clock": (
        replace(with_settings(rates=RatesConfig(model=Path("/m"))), clock=ClockFacts(False)),
        "clock.unsynchronised",
    ),
    "rules failed": (
        with_backend("suricata", suricata=replace(SURICATA, rules_failed=2, failed=("x.rules:7",))),
        "blocking.rules-failed",
    ),
    "ids": (with_backend("suricata", suricata=replace(SURICATA, inline=False)), "blocking.not-inline"),
    "7.0.10": (with_backend("suricata", suricata=replace(SURICATA, version="7.0.10 RELEASE")), "blocking.ipv6"),
    "8.0.2": (with_backend("suricata", suricata=replace(SURICATA, version="8.0.2 RELEASE")), "blocking.ipv6"),
    # 16 MiB hold 111,848 sources of 150 bytes.
    "host memcap": (
        replace(
            with_settings(enforce=EnforceConfig(backend="suricata", limits=Limits(max_blocks=111_849))),
            suricata=replace(SURICATA, host_memcap=16 << 20),
        ),
        "blocking.host-memcap",
    ),
    "not creatable": (
        replace(HEALTHY, databases=(DatabaseFacts("enforce.database", Path("/b"), "absent", writable=False),)),
        "block-database.not-creatable",
    ),
}


@pytest.mark.parametrize(("facts", "code"), WARNINGS.values(), ids=WARNINGS)
def test_what_works_less_well_is_a_warning(facts, code):
    """One warning, by its name, with a remedy; the status is that of a warning."""
    assert ([code], []) == (codes(facts, "warning"), codes(facts, "problem"))
    findings = check(facts)
    assert (1, "Works, with 1 warning.") == (STATUS[verdict(findings)], in_words(findings))
    assert all(finding.remedy for finding in findings if finding.level == "warning")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (replace(HEALTHY, sidecar=replace(SIDECAR, page="off")), "sidecar.no-metrics"),
        (replace(HEALTHY, zeek=ZeekAnswers(ADDRESS, "open", asked=False)), "zeek.not-asked"),
        (
            with_backend("nftables", nftables=replace(NFTABLES, privileged=False, state="unreadable")),
            "blocking.unprivileged",
        ),
        (with_backend("suricata", suricata=replace(SURICATA, inline=None)), "blocking.inline-unknown"),
        (with_backend("suricata", suricata=replace(SURICATA, rules_loaded=None)), "blocking.rules-unknown"),
    ],
)
def test_what_cannot_be_looked_at_changes_no_verdict(facts, code):
    """It is named as skipped, and the verdict stays that all works."""
    assert ([code], "ok") == (codes(facts, "skipped"), verdict(check(facts)))


def test_enough_memory_for_blocks():
    """Suricata's default of 16 MiB is enough for the default number of blocks, and an unlimited table is no finding."""
    found = check(with_backend("suricata", suricata=replace(SURICATA, host_memcap=16 << 20)))
    (memory,) = [finding for finding in found if finding.code == "blocking.host-memcap"]
    assert ("ok", True) == (memory.level, "16 MiB, holds some 111,848 sources" in memory.what)
    assert "blocking.host-memcap" not in {
        finding.code for finding in check(with_backend("suricata", suricata=SURICATA))
    }


def test_what_portkin_said_in_zeek_is_the_remedy():
    """Where Zeek's log names why it lets nobody in, the remedy is that, not the list of all that it may be."""
    said = "the sidecar cannot connect: this cluster has no logger: set 'loggers = 1' in zeek.conf"
    facts = with_connection("not-acknowledged", replace(HERE, said=("here is more", said)))
    (finding,) = [finding for finding in check(facts) if finding.level == "problem"]
    assert "Zeek says: this cluster has no logger: set 'loggers = 1' in zeek.conf" == finding.remedy


def test_a_shipped_table_is_not_called_old():
    """However old it is: its age is in the text, and it is what there is."""
    shipped = replace(TABLE, shipped=True, created=NOW - timedelta(days=900))
    assert "ok" == verdict(check(replace(HEALTHY, table=shipped)))


def test_the_whole_cluster_is_well_without_its_loggers():
    """Loggers are not asked; workers alone see packets."""
    peers = ("logger", "manager", "worker-1")
    manager = replace(ZEEK, node="manager", peers=("logger", "worker-1"), packets=Count(0))
    worker = replace(ZEEK, node="worker-1", peers=("logger", "manager"), sidecar=False)
    assert set(peers) == {manager.node, worker.node, "logger"}
    assert "ok" == verdict(check(replace(HEALTHY, zeek=replace(ANSWERS, nodes=(manager, worker)))))


def test_the_worst_finding_makes_the_verdict():
    """A warning beside a problem is a problem, counted apart in words."""
    findings = [Finding("a.b", "ok", "x"), Finding("c.d", "warning", "y", "z"), Finding("e.f", "problem", "u", "v")]
    assert ("problem", "Does not work: 1 problem and 1 warning.") == (verdict(findings), in_words(findings))
    assert ["a", "c", "e"] == [finding.subject for finding in findings]


def test_a_report_has_no_secret_of_the_hook():
    """Arguments of the hook's program, and the path of its address, which chat services keep secret, are left out."""
    shown = shown_settings(
        {"enforce": {"hook": {"command": ["/usr/bin/x", "--key", "hunter2"], "url": "https://h:1/hunter2?hunter2"}}}
    )
    assert {"command": ["/usr/bin/x", "[2 arguments]"], "url": "https://h:1/[hidden]"} == shown["enforce"]["hook"]
    assert {"command": [], "url": None} == shown_settings({"hook": {"command": [], "url": None}})["hook"]


def test_failures_of_long_ago_are_no_warning():
    """A day after the latest failure of blocking, which healed, all is well."""
    assert [] == codes(with_errors(NOW - timedelta(hours=25)), "warning")


def test_a_table_is_missed_only_where_the_sidecar_keeps_one():
    """A sidecar of another backend puts no table back, and nobody is promised that."""
    config = Config(enforce=EnforceConfig(backend="nftables"))
    facts = replace(
        HEALTHY,
        settings=SettingsFile(None, config),
        nftables=replace(NFTABLES, state="missing"),
        sidecar=replace(SIDECAR, backend="shadow"),
    )
    assert ["sidecar.other-backend"] == codes(facts, "problem")
    ours = replace(facts, sidecar=replace(SIDECAR, backend="nftables"))
    assert ["blocking.table-missing"] == codes(ours, "problem")
