"""The Prometheus page of running servers, and the dashboard that reads it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ensemble_processes import ZKSERVER, EnsembleProcesses
from tests.support.server_process import ServerProcess, four_letter_word
from tests.support.zkserver_process import ZkserverProcess
from zkserver.admin import prometheus
from zkserver.admin.metric_meanings import MEANINGS
from zkserver.base.config import defaults
from zkserver.base.errors import FatalError
from zkserver.server import monitor

ROOT = Path(__file__).resolve().parents[2]
PROVIDER = {
    "metricsProvider.className":
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    "metricsProvider.httpPort": "0",
}


def metrics_port(server: ServerProcess) -> int:
    """The port that the server has taken, by its log."""
    found = re.search(r"INFO  metrics address=127\.0\.0\.1 port=(\d+)", server.log_file.read_text())
    assert found, server.log_tail()
    return int(found[1])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # polling with a deadline


def page(server: ServerProcess, path: str = "/metrics") -> str:
    url = f"http://127.0.0.1:{metrics_port(server)}{path}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


@pytest.fixture(name="pages", scope="module")
def _pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, dict]]]:
    """By role: the page, and the rows of `mntr` a moment later."""
    folder = tmp_path_factory.mktemp("prometheus")
    with EnsembleProcesses(folder, ZKSERVER * 2, cfg=PROVIDER) as ensemble:
        numbers = {mode: number for number, mode in ensemble.modes().items()}
        client = KazooClient(f"127.0.0.1:{ensemble.server(numbers['follower']).port}", timeout=10)
        client.start(timeout=30)
        client.create("/app", b"data")
        client.get("/app", watch=lambda _: None)
        client.set("/app", b"more")
        client.stop()
        client.close()
        found = {}
        for mode, number in numbers.items():
            server = ensemble.server(number)
            text = page(server)
            rows = (line.split("\t") for line in four_letter_word(server.port, "mntr").splitlines())
            found[mode] = text, {name.removeprefix("zk_"): value for name, value in rows}
        yield found


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Values by name and labels. (prometheus_client's own reader adds _total to counters.)"""
    assert list(text_string_to_metric_families(text))
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            found[name, tuple(re.findall(r'(\w+)="([^"]*)"', labels or ""))] = float(value)
    return found


@pytest.mark.parametrize("mode", ["leader", "follower"])
def test_names_types_and_values_are_those_of_mntr(pages, mode: str) -> None:
    text, rows = pages[mode]
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    ours = {name: kind for name, kind in types.items() if not name.startswith(("process_", "python_"))}
    assert set(ours) <= set(MEANINGS)
    assert {name: MEANINGS[name][0] for name in ours} == ours
    found = samples(text)
    for name in ("znode_count", "commit_count", "learner_commit_received_count", "proposal_count"):
        assert found[name, ()] == float(rows[name])
    assert found["updatelatency_count", ()] == float(rows["cnt_updatelatency"])
    assert found["updatelatency_sum", ()] == float(rows["sum_updatelatency"])
    quantiles = {labels[0][1] for name, labels in found if name == "updatelatency"}
    assert quantiles == {"0.5", "0.9", "0.99"}
    assert {labels[0][1] for name, labels in found if name == "fsynctime"} == {"0.5"}
    assert found["write_per_namespace_sum", (("key", "app"),)] == float(
        rows["sum_app_write_per_namespace"]
    )
    assert ("process_resident_memory_bytes", ()) in found


def test_what_only_one_of_them_has(pages) -> None:
    leader, follower = (samples(pages[mode][0]) for mode in ("leader", "follower"))
    assert leader["synced_followers", ()] == 1
    assert ("synced_followers", ()) not in follower
    acks = [labels for name, labels in leader if name == "ack_latency_count"]
    assert len(acks) == 1
    assert follower["node_changed_watch_count_sum", ()] == 1
    assert leader["node_changed_watch_count_sum", ()] == 0
    assert follower["proposal_latency_count", ()] > 0


def test_the_dashboard_asks_for_nothing_else(pages) -> None:
    dashboard = json.loads((ROOT / "packaging/grafana/zookeeper.json").read_text())
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == [
        "Ensemble", "Latency", "Throughput", "Sessions and watches", "Storage", "Process"
    ]
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    exported = {name for text, _ in pages.values() for name, _ in samples(text)}
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            # A metric is followed by its selector; what is left are functions and numbers.
            bare = re.sub(r"(\w+)\{.*?\}", "", target["expr"])
            words = set(re.findall(r"[a-z]\w*", bare.replace("$__rate_interval", "")))
            assert words <= {"rate", "increase", "topk", "sum", "by", "key"}
            asked |= set(re.findall(r"(\w+)\{", target["expr"]))
    assert len(asked) > 40
    assert asked - exported == set()


def test_a_page_without_a_server_and_without_the_process(tmp_path: Path) -> None:
    """One of two servers: it looks for a leader for ever, and still says so."""
    cfg = PROVIDER | {"metricsProvider.exportJvmInfo": "false"}
    ensemble = EnsembleProcesses(tmp_path, ZKSERVER * 2, cfg=cfg)
    server = ensemble.server(1)
    server.launch()
    try:
        until(lambda: "state=LOOKING" in server.log_file.read_text())
        found = samples(page(server))
        assert found["looking_count", ()] == 1
        assert ("znode_count", ()) not in found
        assert not [name for name, _ in found if name.startswith("process_")]
        with pytest.raises(urllib.error.HTTPError):
            page(server, "/")
    finally:
        server.kill()


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    with ZkserverProcess(tmp_path / "first", cfg=PROVIDER) as first:
        cfg = PROVIDER | {"metricsProvider.httpPort": str(metrics_port(first))}
        second = ZkserverProcess(tmp_path / "second", cfg=cfg)
        second.launch()
        assert second.process.wait(30) != 0
        second.process = None
        assert "Set metricsProvider.httpHost and metricsProvider.httpPort" in second.log_tail()


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    config = defaults(
        data_dir="/none", client_port=0, metrics_provider_configuration=(("httpPort", port),)
    )
    with pytest.raises(FatalError, match=f"httpPort={port} is no port"):
        prometheus.settings_of(config)


def test_settings() -> None:
    bare = defaults(data_dir="/none", client_port=0)
    assert prometheus.settings_of(bare) == ("127.0.0.1", 7000, True)
    given = (("httpHost", "0.0.0.0"), ("httpPort", "9"), ("exportJvmInfo", "false"))
    config = defaults(data_dir="/none", client_port=0, metrics_provider_configuration=given)
    assert prometheus.settings_of(config) == ("0.0.0.0", 9, False)


def test_neither_library_is_imported_before_somebody_comes() -> None:
    code = (
        "import sys, zkserver.admin.prometheus, zkserver.cli.serve\n"
        "sys.exit(bool({'aiohttp', 'prometheus_client'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_counters_are_those_that_are_typed_by_hand() -> None:
    assert set(prometheus._COUNTERS) == {
        name for name, (kind, _) in MEANINGS.items() if kind == monitor.COUNTER
    }
