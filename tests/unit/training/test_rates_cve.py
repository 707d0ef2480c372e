"""Vulnerabilities per service and day, and the scores against them."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.rates import cve

DAY = 86_400


def feed(**impact):
    """One entry of a 1.1 feed."""
    return {
        "cve": {
            "CVE_data_meta": {"ID": "CVE-2023-1"},
            "description": {"description_data": [{"lang": "en", "value": "OpenSSH is broken"}]},
        },
        "impact": impact,
        "publishedDate": "1970-01-02T18:15Z",
    }


V3 = {"cvssV3": {"attackVector": "NETWORK", "baseScore": 9.8}}
V2 = {"cvssV2": {"accessVector": "LOCAL", "baseScore": 4.3}}


def test_feed_and_api_give_the_same_entry(tmp_path):
    """NVD 1.1 feeds (gzipped) and API 2.0 answers; CVSS 3 before 2; entries without a score are left out."""
    old = tmp_path / "feed.json.gz"
    entries = [feed(baseMetricV3=V3, baseMetricV2=V2), feed(baseMetricV2=V2), feed()]
    old.write_bytes(gzip.compress(json.dumps({"CVE_Items": entries}).encode()))
    api = {
        "id": "CVE-2023-1",
        "published": "1970-01-02T18:15:00.000",
        "descriptions": [{"lang": "es", "value": "roto"}, {"lang": "en", "value": "OpenSSH is broken"}],
        "metrics": {
            "cvssMetricV31": [
                {"type": "Secondary", "cvssData": {"attackVector": "LOCAL", "baseScore": 1}},
                {"type": "Primary", "cvssData": {"attackVector": "NETWORK", "baseScore": 9.8}},
            ]
        },
    }
    new = tmp_path / "api.json"
    new.write_text(json.dumps({"vulnerabilities": [{"cve": api}, {"cve": api | {"metrics": {}}}]}))
    first, second = list(cve.read_nvd(old))
    assert cve.Vulnerability("CVE-2023-1", DAY + 65_700, 9.8, True, "OpenSSH is broken") == first
    assert (4.3, False) == (second.score, second.network)
    assert [first] == list(cve.read_nvd(new))


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"no json",
        b"[" * 100_000,
        b'{"CVE_Items": [5]}',
        b'{"vulnerabilities": [{"cve": {"metrics": 1}}]}',
    ],
)
def test_file_that_is_no_nvd_file_is_refused(tmp_path, content):
    """The message names the file."""
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json"):
        list(cve.read_nvd(file))


def test_series_sums_network_scores_per_day():
    """Two matching entries on one day add up; local ones, others and other days do not."""
    ssh = re.compile(r"\bssh\b", re.IGNORECASE)
    entries = [
        cve.Vulnerability("a", DAY, 9.0, True, "an SSH flaw"),
        cve.Vulnerability("b", 2 * DAY - 1, 5.0, True, "ssh again"),
        cve.Vulnerability("c", DAY, 7.0, False, "local ssh"),
        cve.Vulnerability("d", DAY, 7.0, True, "sshx"),
        cve.Vulnerability("e", 3 * DAY, 7.0, True, "ssh too late"),
    ]
    assert [0, 14, 0] == cve.cve_series(entries, ssh, np.arange(3) * DAY, 3 * DAY).tolist()


def test_scores_compare_with_the_moving_average():
    """Equations 23 and 24: an indicator equal to the CVE series scores 1, the reference itself 0."""
    series = np.array([0.0, 5, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0])
    reference = np.ones(12)
    assert 1 == cve.relative_score(series, reference, series)
    assert 0 == cve.relative_score(reference, reference, series)
    assert np.isnan(cve.relative_score(series, series, series))


def test_warping_forgives_a_shift():
    """The same peak two days later is at no distance."""
    one, other = np.zeros(10), np.zeros(10)
    one[3], other[5] = 4, 4
    assert 0 == cve.distance(one, other)
    assert 4 == cve.distance(one, np.zeros(10))


def test_rows_of_the_matrix_are_scaled():
    """Fig. 12: the nearest CVE series of a row is 0, the farthest 1."""
    indicators = np.array([[0.0, 4, 0], [1, 1, 1]])
    cves = np.array([[4.0, 0, 0], [0, 0, 9], [0, 0, 0]])
    matrix = cve.distance_matrix(indicators, cves)
    assert [0, 1] == [matrix[0].min(), matrix[0].max()]
    assert 0 == matrix[0, 0]


def test_silent_indicator_does_not_beat_the_zero_null():
    """An indicator that is always zero scores exactly what the zero null does, and no better than chance."""
    rng = np.random.default_rng(0)
    series = np.where(rng.random(60) < 0.2, 8.0, 0)
    found = cve.score_with_nulls(np.zeros(60), rng.random(60), series, draws=19, seed=1)
    assert found.score == found.zero
    assert found.permuted > 0.05


def test_services_that_ship_are_readable_and_tell_services_apart(tmp_path):
    """Every expression compiles; SSH is not SMB; a wrong expression names its port, what is no YAML its file."""
    found = cve.services()
    assert found[Port(22, "tcp")].search("A flaw in OpenSSH") and not found[Port(445, "tcp")].search(
        "A flaw in OpenSSH"
    )
    wrong = tmp_path / "s.yaml"
    wrong.write_text("22/tcp: '('")
    with pytest.raises(InputError, match="22/tcp"):
        cve.services(wrong)
    for content in (b"\x1f\x8b\xff", b"22/tcp: [", b"ssh"):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match=r"s\.yaml: (cannot be read as YAML|not a mapping)"):
            cve.services(wrong)


def test_recorded_feed_holds_network_vulnerabilities(shared_data):
    """The feed of 2013 has CVSS 2 scores only, and some for SSH."""
    entries = list(cve.read_nvd(shared_data / "nvd" / "nvdcve-1.1-2013.json.gz"))
    assert len(entries) > 5_000
    ssh = cve.services()[Port(22, "tcp")]
    assert 10 < sum(entry.network and bool(ssh.search(entry.text)) for entry in entries) < 500
