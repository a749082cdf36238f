"""Debian's Chromium, driven by Playwright. `.ci/run` installs it and sets PAGE_TESTS, which demands it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
DEMANDED = bool(os.environ.get("PAGE_TESTS"))
# Without these it connects to hosts of its own.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        yield launched
        launched.close()


class Watched:
    """A tab whose errors, and reports of its content security policy, are collected."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._heard)
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

    def _heard(self, said: ConsoleMessage) -> None:
        # The browser itself reports each answer that is an error, and servers that are away.
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self.problems.append(said.text)
