"""Other files from outside: counts of rates, labels, vulnerabilities, Zeek's decisions, rules, a dataset's manifest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from fuzz.harness import choice, printable, refused, target
from portkin.errors import InputError, RulesError, shown
from portkin_rules.from_log import active_blocks, read_decisions
from portkin_training.core.dataset import manifest, recordings
from portkin_training.rates.cve import read_nvd
from portkin_training.rates.series.csv_counts import read_counts
from portkin_training.replay.mawi.labels import read_labels

COUNTS = (
    b"port,hour,count\n22/tcp,2026-01-01T00:00:00Z,5\n53/udp,2026-01-01T01:00:00+01:00,7\n",
    b'"port","day","requests"\r\n80,2026-03-29,1010\r\n80,2026-03-30,3\r\n80,2026-03-31,3\r\n',
    b"port,time,count\n22,2026-10-25T02:00:00,5\n22,2026-10-25T03:00:00,5\n",
)


def _counts(path: Path, data: bytes) -> None:
    """A CSV of ready-made counts."""
    said: list[str] = []
    width, tz = choice(data, (3600, 86_400)), choice(data, ("UTC", "Europe/Berlin", "Asia/Kathmandu"), 1)
    found = refused(lambda: read_counts(path, width, tz, said.append), InputError, naming=str(path))
    if found is not None:
        when, ports, many = found
        assert len(when) == len(ports) == len(many) > 0
        assert np.isfinite(when).all() and (many >= 0).all()
        assert all(0 <= port.number < 65536 for port in ports)
    printable(shown("\n".join(said)))


LABELS = (
    b"anomalyID, srcIP, srcPort, dstIP, dstPort, taxonomy, heuristic, distance, nbDetectors, label\n"
    b"1,192.0.2.1,,198.51.100.1,22,ptpposcaSYN,20,0.5,3,anomalous\n2,,,2001:db8::1,,mptp,1,2,notice\n",
    b'<admd:annotation xmlns:admd="http://a"><anomaly type="anomalous" value="0.1,2,20,3,ptpposcaSYN">'
    b'<from sec="1767225600" usec="5"/><to sec="1767225700" usec="0"/>'
    b'<slice><filter src_ip="192.0.2.1" dst_port="22"/></slice></anomaly></admd:annotation>',
)


def _labels(path: Path, data: bytes) -> None:
    """Labels of MAWILab, CSV and XML."""
    found = refused(lambda: read_labels(path), InputError, naming=str(path))
    if found is not None:
        for label in found.labels:
            assert all(port is None or 0 <= port < 65536 for port in (label.sport, label.dport))
            assert all(end is None or 0 <= end < 1 << 128 for end in (label.src, label.dst))
            assert label.scan in (True, False)
        assert all(problem.startswith(str(path)) for problem in found.problems)
        printable(shown("\n".join(found.problems)))


FEED = {"CVE_Items": [{
    "cve": {"CVE_data_meta": {"ID": "CVE-2014-0160"},
            "description": {"description_data": [{"lang": "en", "value": "x"}]}},
    "impact": {"baseMetricV2": {"cvssV2": {"baseScore": 5.0, "accessVector": "NETWORK"}}},
    "publishedDate": "2014-04-07T22:55Z",
}]}  # fmt: skip
ANSWER = {"vulnerabilities": [{"cve": {
    "id": "CVE-2014-0160", "published": "2014-04-07T22:55:03.893", "descriptions": [{"lang": "en", "value": "x"}],
    "metrics": {"cvssMetricV31": [{"cvssData": {"baseScore": 7.5, "attackVector": "NETWORK"}}]},
}}]}  # fmt: skip


def _vulnerabilities(path: Path, data: bytes) -> None:
    """Files of the NVD."""
    for one in refused(lambda: [*read_nvd(path)], InputError, naming=str(path)) or ():
        assert isinstance(one.score, float) and isinstance(one.published, int)
        json.dumps([one.name, one.text, one.network]).encode()


DECISIONS = (
    b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tportkin\n"
    b"#fields\tts\tkind\tsrc\tproto\tkept\n1767225600.5\tPortkin::DECISION\t192.0.2.1\ttcp\t22,23\n"
    b"1767225601.5\tPortkin::SCANNER\t192.0.2.1\t-\t(empty)\n"
)
JSON_DECISION = {"ts": 1767225600.5, "kind": "DECISION", "src": "2001:db8::1", "proto": "udp", "kept": ["53", "123"]}


def _decisions(path: Path, data: bytes) -> None:
    """Zeek's portkin.log, of which rules are made."""
    said: list[str] = []
    found = refused(lambda: [*read_decisions(path, said.append)], RulesError, naming=str(path))
    for src, ports in active_blocks(found or (), now=1_767_225_700.0, seconds=86_400).items():
        printable(src)
        assert all(0 <= port.number < 65536 for port in ports)
    printable(shown("\n".join(said)))


DATASET = {"kind": "probes", "schema": 1, "rows": 1, "about": {"sources": [{"name": "a", "bytes": 1, "sha256": "0"}]}}


def _dataset(path: Path, data: bytes) -> None:
    """The manifest of a dataset of probes."""
    folder = path.parent
    (folder / "manifest.json").write_bytes(data)
    found = refused(lambda: manifest(folder), InputError, naming=str(folder))
    if found is not None:
        recordings(found.get("about", {}))


@target(lambda: [*COUNTS, *LABELS, json.dumps(FEED).encode(), json.dumps(ANSWER).encode(), json.dumps(DATASET).encode(),
                 DECISIONS, (json.dumps(JSON_DECISION) + "\n").encode() * 2, gzip.compress(DECISIONS)])  # fmt: skip
def other_files(folder: Path, data: bytes) -> None:
    """Counts of rates, labels of MAWILab, the NVD's files, portkin.log and manifests of datasets."""
    path = folder / "file"
    path.write_bytes(data)
    for check in (_counts, _labels, _vulnerabilities, _decisions, _dataset):
        check(path, data)
