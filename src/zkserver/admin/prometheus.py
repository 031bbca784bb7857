"""The metrics for Prometheus, at /metrics of a port of its own.

    metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
    metricsProvider.httpHost=0.0.0.0
    metricsProvider.httpPort=7000
    metricsProvider.exportJvmInfo=true

Keys, names, labels and quantiles are those of Apache's provider: names as in `mntr` without the
prefix zk_, counters without the suffix _total, the members of a set under the label `key`,
summaries with quantiles, _count and _sum. Differences:

* Without httpHost only this machine is served: who wants to be scraped from outside says so.
* There is no JVM: exportJvmInfo shows what prometheus_client knows of the process and of Python.
* numWorkerThreads, maxQueueSize and workerShutdownTimeoutMs belong to a queue that Apache's
  provider counts through; here nothing stands between an event and its count.

aiohttp and prometheus_client are imported when the first scrape comes (`lazy_http`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from zkserver.admin.guarded_http import GuardedHttp, Handler
from zkserver.admin.lazy_http import bind
from zkserver.admin.metric_meanings import MEANINGS
from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.runtime.logs import get_log
from zkserver.runtime.process import Process
from zkserver.server import monitor
from zkserver.server.summaries import Summary

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

log = get_log("metrics")

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7000
# So long a connection may be silent: longer than scrapers usually are. 200 are served at a time.
IDLE_S = 90.0

Around = Callable[["web.Request", Handler], Awaitable["web.StreamResponse"]]


class Settings(NamedTuple):
    """What the keys metricsProvider.* say."""

    host: str
    port: int
    exports_process: bool


def settings_of(config: Config) -> Settings:
    """The provider's settings. Raises FatalError for a port that is none."""
    given = dict(config.metrics_provider_configuration)
    text = given.get("httpPort", str(DEFAULT_PORT))
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 0xFFFF:
        raise FatalError(
            ExitCode.INVALID_INVOCATION, f"metricsProvider.httpPort={text} is no port"
        )
    return Settings(
        given.get("httpHost", DEFAULT_HOST),
        port,
        given.get("exportJvmInfo", "true").lower() == "true",
    )


class PrometheusServer:
    """An attachment that serves /metrics; see the module's docstring."""

    def __init__(self, config: Config) -> None:
        self._settings = settings_of(config)
        self._http: GuardedHttp | None = None

    @property
    def port(self) -> int | None:
        """The port it listens on; None if it does not."""
        return None if self._http is None else self._http.port

    def start(self, process: Process) -> None:
        """Bind the port. Raises FatalError if it cannot be had, as Apache's server does."""
        host, port, _ = self._settings
        try:
            sockets = bind(host, port)
        except OSError as error:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"cannot serve metrics on {host}:{port}: {error.strerror or error}. Set "
                "metricsProvider.httpHost and metricsProvider.httpPort to others",
            ) from error
        http: GuardedHttp
        http = self._http = GuardedHttp(
            asyncio.get_running_loop(),
            sockets,
            lambda: make_app(process, self._settings, http.around),
            idle_s=IDLE_S,
            modules=("prometheus_client",),
            name="metrics",
        )
        http.start()
        log.info("metrics", address=host, port=http.port)

    async def stop(self) -> None:
        """Close the port."""
        if self._http is not None:
            await self._http.stop()


def make_app(process: Process, settings: Settings, guard: Around | None = None) -> web.Application:
    """The application with its one page. `guard` is called around every request."""
    from aiohttp import web
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

    registry = _registry(process, settings)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(
            body=exposition(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request) if guard is None else await guard(request, handler)

    app = web.Application(middlewares=[around])
    app.add_routes([web.get("/metrics", page)])
    return app


def _registry(process: Process, settings: Settings) -> CollectorRegistry:
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    registry.register(ProcessMetrics(process))
    if settings.exports_process:
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.PlatformCollector(registry=registry)
        prometheus_client.GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The page in Prometheus's text format.

    prometheus_client would give each counter the suffix _total. Java's have none, so they leave it
    as untyped, and get their type here.
    """
    from prometheus_client.exposition import generate_latest

    text = generate_latest(registry)
    for name in _COUNTERS:
        text = text.replace(
            b"# TYPE %b untyped\n" % name.encode(), b"# TYPE %b counter\n" % name.encode(), 1
        )
    return text


_COUNTERS = tuple(name for name, (kind, _) in MEANINGS.items() if kind == monitor.COUNTER)


class ProcessMetrics:
    """A collector over the process: its server's metrics, or those that need no server."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """All metrics, in Prometheus's classes."""
        server = self._process.active_server()
        if server is None:
            found = monitor.collect_process(self._process.stats)
        else:
            found = monitor.collect(server)
        for metric in found:
            yield _family(metric)


def _family(metric: monitor.Metric) -> Metric:
    from prometheus_client.metrics_core import Metric

    kind = "untyped" if metric.kind == monitor.COUNTER else metric.kind
    family = Metric(metric.name, MEANINGS[metric.name][1], kind)
    for key, value in metric.values.items():
        labels = {"key": key} if metric.has_keys else {}
        if isinstance(value, Summary):
            _add_summary(family, metric.name, labels, value)
        else:
            family.add_sample(metric.name, labels, value)
    return family


def _add_summary(
    family: Metric, name: str, labels: Mapping[str, str], summary: Summary
) -> None:
    for share in summary.quantiles:
        quantile = {**labels, "quantile": str(share)}
        family.add_sample(name, quantile, summary.percentile(share))
    family.add_sample(f"{name}_count", dict(labels), summary.count)
    family.add_sample(f"{name}_sum", dict(labels), summary.total)
