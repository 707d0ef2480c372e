"""Facts about the running sidecar, from its metrics."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from portkin.config.schema import MetricsConfig
from portkin.doctor.facts import SidecarAnswers

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_MOST = 16 * 2**20
"""Bytes of a page that are read."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (asked at loopback instead)


def ask_sidecar(config: MetricsConfig, timeout: float) -> SidecarAnswers:
    """What the metrics of the sidecar with these settings say."""
    host = _EVERYWHERE.get(config.host, config.host)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{config.port}/metrics"
    if not config.enabled:
        return SidecarAnswers(address, "off")
    if config.port == 0:
        return SidecarAnswers(address, "off", "metrics.port is 0: any free port, which the sidecar's log names")
    try:
        text = _page(host, config.port, timeout)
    except ConnectionRefusedError:
        return SidecarAnswers(address, "refused")
    except http.client.HTTPException as error:
        return SidecarAnswers(address, "foreign", f"{type(error).__name__}: {error}")
    except OSError as error:
        return SidecarAnswers(address, "failed", str(error) or type(error).__name__)
    return read_metrics(address, text)


def _page(host: str, port: int, timeout: float) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(_MOST).decode("utf-8", "replace")
    finally:
        connection.close()


def read_metrics(address: str, text: str) -> SidecarAnswers:
    """The answers in a page of metrics."""
    from prometheus_client.parser import text_string_to_metric_families  # a sidecar that is stopped needs none of it

    try:
        return read_families(address, text_string_to_metric_families(text))
    except (ValueError, KeyError, IndexError) as error:
        return SidecarAnswers(address, "foreign", str(error))


def read_families(address: str, families: Iterable[Metric]) -> SidecarAnswers:
    """The answers in metrics. Raises what reading them raises."""
    samples: dict[str, float] = defaultdict(float)
    infos: dict[str, dict[str, str]] = {}
    backend, pending = "", []
    for family in families:
        for sample in family.samples:
            if not sample.name.startswith("portkin_") or sample.name.endswith("_bucket"):
                continue
            samples[sample.name] += sample.value
            if sample.name.endswith("_info"):
                infos[sample.name] = dict(sample.labels)
            elif sample.name == "portkin_block_backend_ready":
                backend = sample.labels.get("mode", "")
            elif sample.name == "portkin_setting_pending" and sample.value:
                pending.append(sample.labels.get("setting", ""))
    if "portkin_connected" not in samples:
        return SidecarAnswers(address, "foreign", "it has no metrics of portkin's")
    table = infos.get("portkin_table_info", {}).get("id", "")
    zeek = infos.get("portkin_zeek_info", {})
    return SidecarAnswers(address, "answers", "", dict(samples), table, zeek, backend, tuple(sorted(pending)))
