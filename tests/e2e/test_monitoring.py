"""contrib/: the alerts by promtool, and every query of the dashboard and the alerts by a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from portkin_training.evaluation.table_on_day import DayFigures
from portkin_training.learning.metrics import Progress, write_metrics
from support.sidecar_process import SidecarProcess, until
from support.tables import small_table
from support.zeek_process import free_port

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
RULES = CONTRIB / "prometheus" / "portkin.rules.yml"
LEARN_RULES = CONTRIB / "prometheus" / "portkin-learn.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "portkin.json"
NAME = re.compile(r"\bportkin_[a-z0-9_]+")
WITH_LABELS = {  # appear with their first event
    "portkin_zeek_info", "portkin_invalid_messages_total", "portkin_blocks_total", "portkin_block_vetoes_total",
    "portkin_rates_alarms_total", "portkin_new_port_recall", "portkin_usefulness", "portkin_predicted_usefulness",
}  # fmt: skip


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} on PATH")
    return path


def queries() -> list[str]:
    """What the dashboard and the alerts ask, with Grafana's variables as Grafana fills them."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked += asked_by(RULES)
    return [query.replace("$instance", ".*").replace("$__rate_interval", "1m") for query in asked]


def asked_by(rules: Path) -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture
def sidecar(tmp_path):
    small_table(tmp_path / "table")
    settings = {
        "zeek": {"url": f"ws://127.0.0.1:{free_port()}/"},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"port": free_port()},
        "enforce": {"database": str(tmp_path / "blocks.sqlite")},
    }
    with SidecarProcess(tmp_path / "sidecar", settings) as running:
        running.wait_for("serving")
        yield running, settings["metrics"]["port"]


def page_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        return page.read().decode()


def test_alerts_fire_as_they_should():
    """promtool accepts the rules, and its tests of them: a node of two that is down, the first error, no NaN."""
    promtool = program("promtool")
    rules = [RULES.name, LEARN_RULES.name]
    for command in (["check", "rules", *rules], ["test", "rules", "portkin.test.yml", "portkin-learn.test.yml"]):
        ran = subprocess.run([promtool, *command], cwd=RULES.parent, capture_output=True, text=True)
        assert 0 == ran.returncode, ran.stdout + ran.stderr


def test_every_metric_that_is_asked_for_exists(sidecar):
    """By the page of a real sidecar: it declares each; without an event a sample is zero, and none is NaN."""
    _, port = sidecar
    page = page_of(port)
    declared = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    samples = dict(re.findall(r"^([a-z0-9_]+)(?:\{[^}]*\})? (\S+)$", page, re.MULTILINE))
    for name in {name for query in queries() for name in NAME.findall(query)}:
        base = re.sub(r"_bucket$", "", name)
        assert base in declared, name
        assert name in samples or name in WITH_LABELS, name
    assert not [name for name in samples if name.endswith("_created")]
    assert "NaN" not in samples.values()


def test_every_metric_of_the_learner_that_is_asked_for_exists(tmp_path):
    """By the file that it writes."""
    day = date(2026, 11, 1)
    figures = DayFigures(day.isoformat(), "0123456789ab", 9000, 600, 700, 0.3, 0.1, 0.2, 0.4, 1.0)
    now = datetime(2026, 11, 2, tzinfo=UTC)
    write_metrics(tmp_path / "learn.prom", Progress(looked=now, latest=now, until=day, figures=figures))
    samples = set(re.findall(r"^([a-z0-9_]+)", (tmp_path / "learn.prom").read_text(), re.MULTILINE))
    asked = {name for query in asked_by(LEARN_RULES) for name in NAME.findall(query)}
    assert (True, set()) == (bool(asked), asked - samples)


def test_a_real_prometheus_answers_every_query(sidecar, tmp_path):
    """It scrapes a real sidecar, loads the alerts, and takes each query of both; the sidecar is seen as up."""
    _, port = sidecar
    listen = free_port()
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES), str(LEARN_RULES)],
                "scrape_configs": [{"job_name": "portkin", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            }
        )
    )
    command = [
        program("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
    ]

    def ask(query: str) -> list[dict]:
        url = f"http://127.0.0.1:{listen}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    def scraped() -> bool:
        try:
            return bool(ask("portkin_connected"))
        except OSError:
            return False

    log = tmp_path / "prometheus.log"
    with log.open("w") as out:
        running = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{listen}"], stdout=out, stderr=out)
    try:
        until(scraped, log.read_text, timeout=60)
        assert ["1"] == [result["value"][1] for result in ask("up")]
        for query in queries() + asked_by(LEARN_RULES):
            ask(query)  # a query that it does not take is an HTTP error
        assert ["0"] == [result["value"][1] for result in ask("portkin_connected == 0")]
    finally:
        running.terminate()
        running.wait(30)
