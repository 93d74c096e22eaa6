"""A headless Chromium of the system against Django's live server."""

import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from apps.foundation.accounts.services import roles_sync

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}


@pytest.fixture(autouse=True)
def reference_data(transactional_db: None) -> None:
    """What the migrations put in: such a test empties every table when it ends."""
    import_module("apps.data.consent.migrations.0002_purposes").purposes_add(apps, None)
    roles_sync()


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium; the tests are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    chromium = playwright.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    )
    yield chromium
    chromium.close()


def _context(browser: Browser, base_url: str, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=base_url, **options)
    context.set_default_timeout(8_000)
    return context


@pytest.fixture
def phone(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page at a phone's width."""
    context = _context(browser, live_server.url, viewport=PHONE, has_touch=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def phone_without_scripts(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page at a phone's width, with JavaScript off."""
    context = _context(browser, live_server.url, viewport=PHONE, java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture
def desktop(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page at a desktop's width."""
    context = _context(browser, live_server.url, viewport=DESKTOP)
    yield context.new_page()
    context.close()
