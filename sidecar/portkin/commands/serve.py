"""``portkin serve``: put the sidecar together from its settings, and run it until a signal ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portkin.commands.settings_option import settings_option

if TYPE_CHECKING:
    from portkin.config.schema import Config, ZeekConfig
    from portkin.config.sections import Given
    from portkin.zeek.transport import Transport


@click.command()
@settings_option
@click.option("--transport", type=click.Choice(["websocket", "broker"]), help="How to reach Zeek.")
@click.option("--url", metavar="URL", help="Zeek's WebSocket [default: ws://127.0.0.1:27759/v1/messages/json].")
@click.option("--broker", metavar="HOST:PORT", help="Zeek's Broker [default: 127.0.0.1:27760].")
@click.option("--table", type=click.Path(path_type=Path), help="Folder of a table [default: the one shipped].")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
def serve(
    file: Path | None,
    transport: str | None,
    url: str | None,
    broker: str | None,
    table: Path | None,
    log_level: str | None,
) -> None:
    """Answer a running Zeek: which ports are nearest to the one just probed?

    Connects to Zeek and stays connected; start the two in any order. Settings are the defaults, then the
    file's, then the flags'. A new table in the table's folder, and new models in theirs, are loaded at once;
    SIGHUP checks for both. Of the file, `enforce.limits` is reloaded; other settings need a restart. `portkin config
    --sample` prints a file with every default. SIGTERM and SIGINT end cleanly.
    """
    import asyncio

    from portkin.config.checks import checks
    from portkin.config.schema import load_config
    from portkin.config.sections import Given

    flags = {
        "zeek.transport": ("--transport", transport),
        "zeek.url": ("--url", url),
        "zeek.broker": ("--broker", broker),
        "table.path": ("--table", table),
        "log.level": ("--log-level", log_level),
    }
    given = {name: Given(value, flag) for name, (flag, value) in flags.items() if value is not None}
    asyncio.run(run(load_config(file, given, checks()), file, given))


async def run(config: Config, file: Path | None = None, flags: Mapping[str, Given] | None = None) -> None:
    """Serve with these settings until SIGTERM or SIGINT.

    ``file`` and ``flags`` are where they are from, for what is reloaded.
    """
    import asyncio
    import contextlib
    import gc
    import secrets
    import signal
    import time

    from portkin.blocking.config import database_path, never_block_path
    from portkin.blocking.factory import make_blocking_service
    from portkin.bundles.table import Table
    from portkin.bundles.table_format import default_path
    from portkin.config.reload import SettingsReload
    from portkin.config.schema import load_config
    from portkin.doctor.live import LiveHealth
    from portkin.logs import make_log
    from portkin.metrics import Metrics
    from portkin.rates.config import rates_database_path
    from portkin.rates.factory import make_rates
    from portkin.sidecar import Sidecar, TableFolder
    from portkin.watch import EVERY, Watch
    from portkin.web.assets import NO_CHARTS, charts_there
    from portkin.web.reader import Parts
    from portkin.web.serving import BlockingOrders, Pulse, readiness, serve_page
    from portkin.zeek.dispatcher import Hello, Nearest, Service
    from portkin.zeek.peer_addresses import host_of

    log = make_log(config.log.level, config.log.format)
    folder = config.table.path or default_path()
    nearest = Nearest(Table.load(folder))
    hello = Hello(nearest, new_id=lambda: f"hello-{secrets.token_hex(4)}")
    metrics = Metrics(lambda: nearest.table, time.time)
    peers = [host_of(config.zeek.url), host_of(config.zeek.broker)]
    blocking = make_blocking_service(config.enforce, peers=peers, registry=metrics.registry, log=log)
    rates, models = make_rates(config.rates, registry=metrics.registry, log=log)
    service = Service(hello, nearest, blocking, rates)
    sidecar = Sidecar(service, make_transport(config.zeek), hello=hello, metrics=metrics, log=log)
    tables = TableFolder(folder, nearest, publish=sidecar.publish, metrics=metrics, log=log)

    with contextlib.ExitStack() as stack:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        watches: list[tuple[Watch, float]] = [(tables, config.table.poll)]
        if models is not None:
            watches.append((models, EVERY))
        settings = SettingsReload(
            file,
            config,
            lambda: load_config(file, flags),
            limits=blocking.enforcer.limits,
            apply=blocking.set_limits,
            report=metrics.pending,
            log=log,
        )
        settings.look()  # since they were read, a table and models were loaded: an edit in the meantime counts
        watches.append((settings, EVERY))
        pulse = Pulse(blocking)
        addresses = {"metrics": "off"}
        if config.metrics.enabled:
            not_ready = readiness(lambda: sidecar.connection, lambda: hello.answer, blocking)
            parts = Parts(
                table=lambda: nearest.table,
                connection=lambda: sidecar.connection,
                greeting=lambda: hello.answer,
                blocking=blocking,
                blocks=database_path(config.enforce),
                rates_file=rates_database_path(config.rates) if models is not None else None,
                health=LiveHealth(config, file, metrics.registry, table=lambda: nearest.table, folder=folder),
                not_ready=not_ready,
                actions=config.page.actions,
            )
            orders = BlockingOrders(blocking, never_block_path(config.enforce), settings.look, loop)
            host, port = config.metrics.host, config.metrics.port
            server = serve_page(
                config.page, host=host, port=port, registry=metrics.registry, parts=parts, pulse=pulse, orders=orders,
                log=log,
            )  # fmt: skip
            stack.callback(server.close)
            addresses = {"metrics": f"http://{host}:{server.port}/metrics"}
            if config.page.enabled:
                addresses["page"] = f"http://{host}:{server.port}/"
                if not charts_there():
                    addresses["charts"] = NO_CHARTS

        def look() -> None:
            for watch, _ in watches:
                watch.look()

        loop.add_signal_handler(signal.SIGHUP, look)
        read = str(file) if file is not None else "defaults"
        log.info("serving", table=nearest.table.id, k=nearest.table.k, folder=str(folder), settings=read, **addresses)
        # What is loaded stays: to walk through it again and again would stop every thread for some 20 ms each time.
        gc.collect()
        gc.freeze()
        work = [
            asyncio.create_task(sidecar.run()),
            asyncio.create_task(blocking.run(sidecar.publish)),
            asyncio.create_task(rates.run(sidecar.publish)),
            asyncio.create_task(pulse.run()),
            asyncio.create_task(ended.wait()),
            *(asyncio.create_task(watch.run(every)) for watch, every in watches),
        ]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for task in done:
            task.result()
        log.info("ended")


def make_transport(zeek: ZeekConfig) -> Transport:
    """The way to Zeek that the settings name."""
    import random

    from portkin.zeek.transport.backoff import backoff

    def delays() -> Iterator[float]:
        return backoff(zeek.backoff.first, zeek.backoff.cap, random.SystemRandom())

    if zeek.transport == "broker":
        from portkin.zeek.transport.broker import BrokerTransport, find_bindings

        return BrokerTransport(zeek.broker, broker=find_bindings(), delays=delays, size=zeek.outbox)
    from portkin.config.checks import tls_of
    from portkin.zeek.transport.websocket import WebSocketTransport

    return WebSocketTransport(zeek.url, delays=delays, size=zeek.outbox, tls=tls_of(zeek))
