"""The page in real Chromium, over a real sidecar that a peer feeds as Zeek does."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from support.page import DESKTOP, PHONE, opened, says, text, wide
from support.watched import PROVEN, TOKEN, browser, watched, with_actions
from support.zeek_peer import zeek_peer
from support.zeek_process import free_port

pytestmark = pytest.mark.timeout(180)
HOSTILE = '<img src=x onerror=alert(1)><script>alert(2)</script>"><svg onload=alert(3)>&amp;\u202e'
WIDE = "W" * 480


def test_scanners_blocks_and_figures_update_by_themselves(tmp_path):
    """What a scanner probes, what was predicted and what of it came true are there, and new ones without a reload."""

    async def scenario():
        async with watched(tmp_path) as site, browser() as chromium:
            await site.greet()
            assert ["added"] * 3 == await site.probe("203.0.113.7", "80/tcp", ["8080/tcp", "443/tcp"])
            async with opened(site, chromium) as page:
                await says(page, "#live", "live")
                await says(
                    page, "#scanners-rows tr", "203.0.113.7 sequential test 4 refused, 1 answered 1 80 2 0 0 % 3"
                )
                await says(page, "#blocks-rows tr", "8080 http-alt predicted after 80/tcp, place 1")
                await site.probe("203.0.113.7", "8080/tcp")
                await says(page, "#scanners-rows tr", "2 8080 80 2 1 50 % 3")
                await says(page, "#blocks-rows tr", "predicted after 80/tcp, place 1 came true")
                await says(
                    page, "#figures-rows tr", "since the start shadow 2 3 2 50 % 1 of 2 100 % 1 of 1 33 % 1 of 3"
                )
                await says(page, "#figures-rows tr", time.strftime("%Y-%m-%d", time.gmtime()))
                await site.probe("2001:db8::5", "22/tcp", why="evidence=DARKNET darknet=9")
                await says(page, "#scanners-rows tr:first-child", "2001:db8::5 darknet 9 dark addresses 1 22")
                await says(page, "#tiles", "Scanners now 2")
                for section, script in (("#scanners", "portkin/scan-notice"), ("#alarms", "portkin/rates-notice")):
                    assert f"@load {script}" in await text(page, section)
                assert "Zeek zeek, Zeek 8.0.9" in await text(page, "#health-facts")

    asyncio.run(scenario())


def test_nothing_from_the_network_becomes_markup(tmp_path):
    """Markup in evidence, notes and Zeek's name is shown as text, and makes the page no wider than a phone."""

    async def scenario():
        async with watched(tmp_path) as site, browser() as chromium:
            await site.greet(node=HOSTILE, version=WIDE)
            await site.probe("203.0.113.7", "80/tcp", why=f"evidence={HOSTILE.replace(' ', '')} answered=1")
            await site.probe("203.0.113.8", "81/tcp", why=f"{PROVEN} note={HOSTILE}")
            await site.probe("203.0.113.9", "82/tcp", why=f"{PROVEN} note={WIDE}")
            async with opened(site, chromium, viewport=PHONE) as page:
                await says(page, "#blocks-rows tr", HOSTILE[:40])
                await says(page, "#health-facts", HOSTILE[:40])
                await says(page, "#scanners-rows tr", "<imgsrc=xonerror=ale")
                assert 0 == await wide(page)
                foreign = "main img, main script, header script, [onerror], [onload]"
                assert 0 == await page.locator(foreign).count()
                await page.set_viewport_size(DESKTOP)
                assert 0 == await wide(page)

    asyncio.run(scenario())


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_fits_the_window_dark_and_light(tmp_path, viewport):
    """At 390 and at 1,440 pixels nothing is wider than the window, in the colours that the system asks for."""

    async def scenario():
        async with watched(tmp_path) as site, browser() as chromium:
            await site.greet()
            for n in range(30):
                await site.probe(f"2001:db8:1234:5678:9abc:def0:1234:{n:x}", "5060/udp", ["5061/udp", "65535/tcp"])
            backgrounds = []
            for scheme in ("light", "dark"):
                async with opened(site, chromium, viewport=viewport, color_scheme=scheme) as page:
                    await page.click("#scanners-more")
                    await says(page, "#scanners-more", "Show fewer")
                    assert 30 == await page.locator("#scanners-rows tr").count()
                    assert 0 == await wide(page)
                    backgrounds.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert ["rgb(243, 245, 247)", "rgb(14, 20, 26)"] == backgrounds

    asyncio.run(scenario())


def test_a_chosen_theme_stays(tmp_path):
    """The button changes the colours, also after a reload."""

    async def scenario():
        async with watched(tmp_path) as site, browser() as chromium, opened(site, chromium) as page:
            await page.click("#theme")
            await page.reload()
            assert "dark" == await page.get_attribute("html", "data-theme")

    asyncio.run(scenario())


def test_without_zeek_it_says_so_and_why(tmp_path):
    """When Zeek goes the page says it, with what the sidecar found, and takes it back when Zeek is there again."""

    async def scenario():
        async with AsyncExitStack() as zeek, browser() as chromium:
            first = await zeek.enter_async_context(zeek_peer())
            async with watched(tmp_path, zeek={"url": first.url}) as site:
                site.peer = first
                await site.greet()
                async with opened(site, chromium) as page:
                    await says(page, "#live", "live")
                    assert not await page.is_visible("#banner")
                    await zeek.aclose()
                    await says(page, "#banner", "Zeek is away: nothing new is predicted or blocked")
                    await says(
                        page,
                        "#banner",
                        "Nothing listens there; is Zeek running, with portkin/websocket loaded? What Zeek",
                    )
                    await says(page, "#live", "Zeek is away")
                    await says(page, "#health-rows", "is not connected to Zeek")
                    async with zeek_peer(first.port) as again:
                        site.peer = again
                        await site.greet()
                        await says(page, "#live", "live")
                        assert not await page.is_visible("#banner")

    asyncio.run(scenario())


def test_without_the_sidecar_it_says_how_old_it_is(tmp_path):
    """When the sidecar ends the page stays, says since when, and goes on when it is back on the same port."""

    async def scenario():
        async with watched(tmp_path, metrics={"port": free_port()}) as site, browser() as chromium:
            await site.greet()
            await site.probe("203.0.113.7", "80/tcp")
            async with opened(site, chromium, faults=False) as page:
                await says(page, "#scanners-rows", "203.0.113.7")
                site.sidecar.process.terminate()
                assert 0 == await asyncio.to_thread(site.sidecar.process.wait, 30)
                await says(page, "#banner", "The sidecar does not answer What is shown is of")
                assert "203.0.113.7" in await text(page, "#scanners-rows")
                site.sidecar.start()
                await says(page, "#live", "not ready")
                await says(page, "#blocks-rows", "203.0.113.7")

    asyncio.run(scenario())


def test_an_empty_one_says_what_to_do(tmp_path):
    """Without scanners, blocks and models each part says why it is empty; nothing is fetched from elsewhere."""

    async def scenario():
        async with watched(tmp_path) as site, browser() as chromium:
            page = await chromium.new_page()
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(f"{site.url}/")
            await says(page, "#scanners-empty", "it reports scanners once it loads portkin/block")
            await says(page, "#blocks-empty", "Nothing is blocked.")
            await says(page, "#rates-empty", "name their folder in rates.model of the settings")
            await says(page, "#alarms-empty", "Rates are not scored")
            await says(page, "#banner", "Not ready Zeek does not answer the sidecar's hello")
            assert [] == [url for url in asked if not url.startswith(f"{site.url}/")]

    asyncio.run(scenario())


def test_the_kin_of_a_port_by_keyboard(tmp_path):
    """Typing a port and Enter draws its kin; Tab reaches them, and Enter on one draws its own."""

    async def scenario():
        async with (
            watched(tmp_path) as site,
            browser() as chromium,
            opened(site, chromium, faults=False) as page,  # a port that is none is a 400
        ):
            near = (await site.get("/api/v1/kin?port=3389&k=10"))["nearest"]
            await page.keyboard.press("Tab")
            assert "Skip to the scanners" == await page.evaluate("document.activeElement.innerText")
            await page.focus("#kin-port")
            await page.keyboard.press("Control+A")
            await page.keyboard.type("3389")
            await page.keyboard.press("Enter")
            await page.wait_for_selector('#kin-graph svg[aria-label="The kin of 3389/tcp"]')
            shown = await page.eval_on_selector_all("#kin-graph a text:first-of-type", "e => e.map(t => t.textContent)")
            assert [each["port"].removesuffix("/tcp") for each in near] == shown
            assert len(near) == await page.locator("#kin-list li").count()
            for _ in range(3):  # past the number of ports and the button
                await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await page.wait_for_selector(f'#kin-graph svg[aria-label="The kin of {near[0]["port"]}"]')
            await page.fill("#kin-port", "<b>x</b>")
            await page.keyboard.press("Enter")
            await says(page, "#kin-error", "'<b>x</b>'")

    asyncio.run(scenario())


def test_orders_need_the_token_and_take_effect(tmp_path):
    """Unblock with a wrong token is refused, with the right one the block is gone; never block ends all of a source."""

    async def scenario():
        async with watched(tmp_path, page=with_actions(tmp_path)) as site, browser() as chromium:
            await site.greet()
            await site.probe("203.0.113.7", "80/tcp", ["8080/tcp"])
            await site.probe("203.0.113.8", "22/tcp", ["23/tcp"])
            async with opened(site, chromium, faults=False) as page:
                await page.click('[aria-label="Unblock 80/tcp for 203.0.113.7"]')
                await page.fill("#order-token", "a guess that is wrong")
                await page.keyboard.press("Enter")
                await says(page, "#order-error", "the token is wrong")
                await page.fill("#order-token", TOKEN)
                await page.click("#order-yes")
                await page.wait_for_selector('[aria-label="Unblock 80/tcp for 203.0.113.7"]', state="detached")
                await says(page, "#blocks-note", "3 active")
                await page.click('[aria-label="Never block 203.0.113.8"]')  # the token is not asked for again
                await page.click("#order-yes")
                await says(page, "#blocks-note", "1 active")
            assert "203.0.113.8" == (tmp_path / "never-block.txt").read_text().partition(" ")[0]
            assert ["vetoed"] == await site.probe("203.0.113.8", "25/tcp")
            assert ["vetoed"] == await site.probe("203.0.113.7", "80/tcp")  # grace
            events = [entry["event"] for entry in site.sidecar.log]
            for said in ("unblocked from the page", "put on the never-block file from the page"):
                assert 1 == events.count(said)

    asyncio.run(scenario())
