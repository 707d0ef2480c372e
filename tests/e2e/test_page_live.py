"""The page of a sidecar that a real Zeek feeds while nmap scans: Chromium in the sensor's namespace; as root."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest

from support.live_site import Site
from support.namespaces import ATTACKER, VICTIM, Network, guarded_site
from support.watched import browser

pytestmark = [pytest.mark.root, pytest.mark.zeek, pytest.mark.timeout(300)]
PAGE = "http://127.0.0.1:9477/"


@pytest.fixture
def net(root):
    for program in ("ip", "nmap", "tcpdump", "curl", "chromium"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")
    with Network() as network:
        guarded_site(network)
        yield network


def test_a_scan_is_on_the_page_while_it_happens(net, zeek, tmp_path):
    """Source, evidence, what was probed, blocked and came true, and Zeek's own version, without a reload."""
    start = tmp_path / "chromium"
    start.write_text(f'#!/bin/sh\nexec {" ".join(net.inside("sensor"))} chromium "$@"\n')
    start.chmod(0o755)

    async def scenario():
        async with browser(start) as chromium:
            page = await chromium.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(60_000)
            await page.goto(PAGE)
            await says(page, "#live", "live")
            await says(page, "#health-facts", f"Zeek {zeek_version(zeek)}")
            await says(page, "#scanners", "Nobody has scanned in the last hour")
            await asyncio.to_thread(site.provoke)
            await says(page, "#scanners-rows tr", f"{ATTACKER} darknet")
            await says(page, "#blocks-rows tr", "predicted after 22/tcp")
            # A port that was predicted, and is blocked: its probe shows that the prediction was right.
            await asyncio.to_thread(site.nmap, "-sS", "-p", "23", VICTIM)
            await says(page, "#blocks-rows tr", "predicted after 22/tcp, place 1 came true")
            await says(page, "#figures-rows tr", "since the start nftables")

    with Site(net, zeek, tmp_path) as site:
        asyncio.run(scenario())


def zeek_version(zeek):
    """The version that it states itself."""
    return subprocess.run([zeek, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


async def says(page, selector, words):
    await page.wait_for_function(
        "([s, w]) => [...document.querySelectorAll(s)].some((e) => e.innerText.replace(/\\s+/g, ' ').includes(w))",
        arg=[selector, words],
    )
