"""The page, opened in a real Chromium."""

from __future__ import annotations

from contextlib import asynccontextmanager

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 1000}


@asynccontextmanager
async def opened(site, chromium, *, faults=True, **context):
    """The page, loaded and filled; at its end nothing was complained about in its console."""
    page = await chromium.new_page(**{"viewport": DESKTOP, **context})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"a dialog: {dialog.message}"))
    page.set_default_timeout(30_000)
    await page.goto(f"{site.url}/")
    await page.wait_for_selector("#tiles .tile")
    yield page
    if faults:
        assert [] == said, said
    await page.close()


async def text(page, selector):
    return " ".join((await page.inner_text(selector)).split())


async def says(page, selector, words):
    """Wait until an element says these words."""
    await page.wait_for_function(
        "([s, w]) => [...document.querySelectorAll(s)].some((e) => e.innerText.replace(/\\s+/g, ' ').includes(w))",
        arg=[selector, words],
    )


async def wide(page):
    """Pixels by which the page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - innerWidth")
