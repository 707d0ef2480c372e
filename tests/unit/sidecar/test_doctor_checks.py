"""The doctor's checks: facts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from portkin.blocking.config import EnforceConfig
from portkin.config.schema import Config
from portkin.doctor.checks import check
from portkin.doctor.facts import (
    BundleFacts,
    DatabaseFacts,
    NftablesFacts,
    SettingsFile,
    SuricataFacts,
    ZeekAnswers,
    ZeekHere,
)
from portkin.doctor.findings import STATUS, Finding, in_words, verdict
from portkin.doctor.redaction import shown_settings
from portkin.zeek.event import Count
from portkin.zeek.messages import PROTOCOL
from support.doctor_facts import (
    ADDRESS,
    ANSWERS,
    HEALTHY,
    HERE,
    NFTABLES,
    NOW,
    SAMPLES,
    SIDECAR,
    SURICATA,
    TABLE,
    ZEEK,
    codes,
    with_backend,
    with_connection,
    with_zeek,
)


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
