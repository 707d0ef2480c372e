"""Do the indicators go with published vulnerabilities? (Zakroum et al. 2022, VIII-C, equations 23 and 24.)

Notes
-----
Both scores compare distances of differently scaled series, so an indicator that is small everywhere comes near a CVE
series that is zero on most days, and scores well for saying nothing. Therefore every score is shown beside the score of
an indicator that is always zero, and beside those of CVE series of the same values in another order and shifted in
time: a real relationship is one that these do not reach.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dtaidistance import dtw
from numpy.typing import NDArray

from portkin.errors import InputError
from portkin.json_text import parsed
from portkin.net.ports import Port
from portkin.timeseries.bins import DAY
from portkin.timeseries.indicators import moving_average_excess
from portkin_training.rates.models.task import Floats


@dataclass(frozen=True)
class Vulnerability:
    """One CVE entry: seconds since the epoch when published, CVSS base score, whether it is reached by network."""

    name: str
    published: int
    score: float
    network: bool
    text: str


def read_nvd(path: Path) -> Iterator[Vulnerability]:
    """The scored entries of an NVD file: a 1.1 feed or an answer of API 2.0, plain or .gz.

    The CVSS 3 score and attack vector are taken, those of CVSS 2 where there are none (entries before 2016).
    Entries without any score, which are rejected or not yet analysed, are left out.
    Raises InputError for a file that is neither.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as opened:
            fields = parsed(opened.read())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); fetch the NVD file again") from None
    if isinstance(fields, dict) and "CVE_Items" in fields:
        read, items = _feed_entry, fields["CVE_Items"]
    elif isinstance(fields, dict) and "vulnerabilities" in fields:
        read, items = _api_entry, fields["vulnerabilities"]
    else:
        raise InputError(f"{path}: neither an NVD 1.1 feed (CVE_Items) nor an API 2.0 answer (vulnerabilities)")
    number = 0
    try:
        for number, item in enumerate(items, 1):  # noqa: B007  (of the one that is wrong)
            if (found := read(item)) is not None:
                yield found
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: entry {number} lacks what one of the NVD has ({error!r}); fetch the NVD file again"
        ) from None


def _feed_entry(item: Mapping[str, Any]) -> Vulnerability | None:
    impact = item.get("impact", {})
    if "baseMetricV3" in impact:
        metric, vector = impact["baseMetricV3"]["cvssV3"], "attackVector"
    elif "baseMetricV2" in impact:
        metric, vector = impact["baseMetricV2"]["cvssV2"], "accessVector"
    else:
        return None
    described = item["cve"]["description"]["description_data"]
    return Vulnerability(
        item["cve"]["CVE_data_meta"]["ID"],
        _seconds(item["publishedDate"]),
        float(metric["baseScore"]),
        metric[vector] == "NETWORK",
        " ".join(entry["value"] for entry in described if entry["lang"] == "en"),
    )


def _api_entry(item: Mapping[str, Any]) -> Vulnerability | None:
    cve = item["cve"]
    metrics = cve.get("metrics", {})
    for kind, vector in (
        ("cvssMetricV31", "attackVector"),
        ("cvssMetricV30", "attackVector"),
        ("cvssMetricV2", "accessVector"),
    ):
        if metrics.get(kind):
            first = sorted(metrics[kind], key=lambda metric: metric.get("type") != "Primary")[0]["cvssData"]
            return Vulnerability(
                cve["id"],
                _seconds(cve["published"]),
                float(first["baseScore"]),
                first[vector] == "NETWORK",
                " ".join(entry["value"] for entry in cve["descriptions"] if entry["lang"] == "en"),
            )
    return None


def _seconds(text: str) -> int:
    when = datetime.fromisoformat(text)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def services(path: Path | None = None) -> dict[Port, re.Pattern[str]]:
    """Port -> expression over descriptions, from a YAML file like the one that ships (`services.yaml`).

    Raises InputError for a file of another form.
    """
    source = path or files("portkin_training.rates") / "services.yaml"
    try:
        fields = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{source}: cannot be read as YAML ({error})") from None
    if not isinstance(fields, dict):
        raise InputError(f"{source}: not a mapping of ports to regular expressions")
    found = {}
    for text, expression in fields.items():
        try:
            found[Port.parse(str(text))] = re.compile(expression, re.IGNORECASE)
        except (re.error, TypeError) as error:
            raise InputError(f"{source}: the expression of {text} is wrong ({error})") from None
    return found


def cve_series(
    vulnerabilities: Iterable[Vulnerability], expression: re.Pattern[str], starts: NDArray[np.int64], end: int
) -> Floats:
    """CVE^(p): per day the sum of base scores of the service's vulnerabilities reached by network: (n,).

    `starts` (n,) are the days' first seconds, `end` the second after the last day.
    """
    found = np.zeros(len(starts))
    for entry in vulnerabilities:
        if entry.network and starts[0] <= entry.published < end and expression.search(entry.text):
            found[np.searchsorted(starts, entry.published, side="right") - 1] += entry.score
    return found


def daily_maximum(indicator: Floats, starts: NDArray[np.int64], days: NDArray[np.int64]) -> Floats:
    """The largest value of an indicator (n, p) within each day (d, p); 0 for a day without any.

    `starts` (n,) and `days` (d,) are first seconds of bins and of days. A day's bins keep their values.
    """
    found = np.zeros((len(days), indicator.shape[1]))
    day = np.searchsorted(days, starts, side="right") - 1
    inside = (day >= 0) & (starts < days[-1] + DAY)
    np.maximum.at(found, day[inside], np.nan_to_num(indicator[inside]))
    return found


def moving_average(rates: Floats, m: int) -> Floats:
    """A (equation 22) of daily rates (n,), with one probe a day as the least that is divided by."""
    return np.nan_to_num(moving_average_excess(rates, m, floor=1.0))


def distance(one: Floats, other: Floats) -> float:
    """The dynamic time warping distance of two series, (n,) and (m,), unknown values as zero.

    Exact, where the paper takes an approximation (its reference 32).
    """
    return float(dtw.distance(np.nan_to_num(one), np.nan_to_num(other), use_c=dtw.dtw_cc is not None))


def distance_matrix(indicators: Floats, cves: Floats) -> Floats:
    """Fig. 12: DTW(E^(p_i), CVE^(p_j)), each row scaled into [0, 1]. Both (ports, days); a constant row is 0."""
    raw = np.array([[distance(indicator, cve) for cve in cves] for indicator in indicators])
    low, high = raw.min(axis=1, keepdims=True), raw.max(axis=1, keepdims=True)
    scaled: Floats = np.divide(raw - low, high - low, out=np.zeros_like(raw), where=high > low)
    return scaled


def relative_score(indicator: Floats, reference: Floats, cve: Floats) -> float:
    """Equations 23 (of E) and 24 (of W): 1 - DTW(indicator, CVE) / DTW(A, CVE); NaN where the latter is 0."""
    against = distance(reference, cve)
    return 1 - distance(indicator, cve) / against if against > 0 else float("nan")


@dataclass(frozen=True)
class CveScore:
    """A score beside its nulls.

    `zero` is what an indicator that is always zero scores. `permuted` and `shifted` are the shares of CVE series, in
    another order or shifted in time, under which the indicator scores at least as well: small means more than chance.
    """

    score: float
    zero: float
    permuted: float
    shifted: float


def score_with_nulls(indicator: Floats, reference: Floats, cve: Floats, *, draws: int, seed: int) -> CveScore:
    """Equation 23 or 24 with the nulls of the module's notes; all series (days,)."""
    rng = np.random.default_rng(seed)
    score = relative_score(indicator, reference, cve)
    least = max(1, len(cve) // 10)
    permuted = [relative_score(indicator, reference, rng.permutation(cve)) for _ in range(draws)]
    moves = rng.integers(least, max(least + 1, len(cve) - least), draws)
    shifted = [relative_score(indicator, reference, np.roll(cve, int(move))) for move in moves]
    return CveScore(
        score,
        relative_score(np.zeros_like(cve), reference, cve),
        (1 + sum(other >= score for other in permuted)) / (1 + draws),
        (1 + sum(other >= score for other in shifted)) / (1 + draws),
    )
