"""Probing rates on the page, in real Chromium."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from support.page import PHONE, opened, says, wide
from support.telescope import HTTP, PORTS, TELNET, USUAL, write_means
from support.watched import browser, watched

pytestmark = pytest.mark.timeout(180)


async def feed_rates(site):
    """Twelve hours of reports that end with the latest whole one: a burst on 23/tcp in it."""
    now = time.time()
    latest = now - now % 3600 - 3600
    for hour in range(12):
        counts = {port: USUAL[port] for port in PORTS} | ({TELNET: 200, HTTP: 61} if hour == 11 else {})
        await site.report(latest - 3600 * (11 - hour), counts)


@asynccontextmanager
async def with_rates(folder):
    """A site that was fed with rates, and a browser."""
    rates = {"model": str(write_means(folder / "models")), "database": str(folder / "rates.sqlite"), "grace": 0.0}
    async with watched(folder, rates=rates) as site, browser() as chromium:
        await site.greet()
        await feed_rates(site)
        yield site, chromium


def test_rates_in_words_with_a_chart_and_alarms(tmp_path):
    """Observed, forecast, E and W in words; the chart of the most unusual port; the alarm; another port by a click."""
    pytest.importorskip("onnx")

    async def scenario():
        async with with_rates(tmp_path) as (site, chromium), opened(site, chromium) as page:
            # The mean of 20, 20, 20 is 20: 200 are 900 % above. The next: 80, the mean of 20, 20, 200.
            await says(page, "#rates-rows tr:first-child", "23/tcp telnet 200 20 +900 % 80")
            await says(page, "#alarms-rows li", "above forecast 23 telnet 200 probes, 20 forecast: +900 %")
            await says(page, "#chart-title", "23/tcp: probes observed and forecast")
            await page.wait_for_selector("#chart canvas")
            await page.click("#rates-rows button:text('80/tcp')")
            await says(page, "#chart-title", "80/tcp: probes observed and forecast")
            assert await page.is_visible("#chart canvas")
            await page.set_viewport_size(PHONE)
            assert 0 == await wide(page)

    asyncio.run(scenario())


def test_without_the_chart_library_the_rest_works(tmp_path):
    """Where uPlot is not there, the figure says how to get it, and the table of rates is there all the same."""
    pytest.importorskip("onnx")

    async def scenario():
        async with with_rates(tmp_path) as (site, chromium):
            page = await chromium.new_page()
            await page.route("**/vendor/*", lambda route: route.abort())
            await page.goto(f"{site.url}/")
            await says(page, "#chart", "install a wheel that was built where npm is")
            await says(page, "#rates-rows tr:first-child", "23/tcp telnet 200 20")

    asyncio.run(scenario())
