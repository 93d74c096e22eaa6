"""A headless Chromium of the system against Django's live server."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from apps.foundation.accounts.models import User
from bin.lib.servers import free_port
from bin.lib.venv import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FOLDER = Path(__file__).parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-gpu",
    # A frame in a sandbox is shown in the process of its page: to begin another is a quarter of what a page costs here.
    # What Playwright would name stands behind it, as the last of such lists counts alone.
    "--disable-features=IsolateSandboxedIframes,AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,"
    "HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,PreconnectToSearch",
]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A page is late now and then on a machine that does more than that: what fails in a browser is tried once more,
    and the summary names it, with what went wrong the first time. Nothing else is.
    """
    if not config.option.usepdb:
        for item in items:
            if item.path.is_relative_to(FOLDER):
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def reference_data(transactional_db: None) -> None:
    """The database with what the migrations put in, and real commits: the server has connections of its own."""


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium; the tests are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield chromium
    chromium.close()


def _context(browser: Browser, base_url: str, **options: Any) -> BrowserContext:
    # nothing glides: a colour on its way to another one is none that anybody has to read
    context = browser.new_context(base_url=base_url, reduced_motion="reduce", **options)
    context.set_default_timeout(15_000)  # two of them at once, on a machine that does more than that
    expect.set_options(timeout=15_000)
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


def sign_in(page: Page, user: User) -> None:
    """A session for somebody, without the login page."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "domain": "localhost", "path": "/"}]
    )


@pytest.fixture
def whole_site(live_server: Any) -> Iterator[str]:
    """The site with its live streams, as it runs in production: one address before a WSGI and an ASGI server."""
    with sites_run(live_server, 1) as sites:
        yield sites[0]


@contextmanager
def sites_run(live_server: Any, count: int) -> Iterator[list[str]]:
    """Run the site at so many addresses, each with an ASGI server of its own before the one WSGI server."""
    database = connection.settings_dict
    where = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{database['USER']}:{database['PASSWORD']}@{where}",
        "REDIS_URL": settings.REDIS_URL,
    }
    granian = "granian --interface asginl --host 127.0.0.1 --workers 1 --workers-kill-timeout 1 --log-level warning"
    ports = [(free_port(), free_port()) for _ in range(count)]
    commands: list[list[str]] = []
    for asgi, front in ports:
        commands.append([*granian.split(), "--port", str(asgi), "config.asgi:application"])
        wsgi = str(live_server.thread.port)
        commands.append(["bin.lib.front", "--port", str(front), "--wsgi-port", wsgi, "--asgi-port", str(asgi)])
    processes = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        for asgi, front in ports:
            _wait_until_up(f"http://127.0.0.1:{asgi}/live/run/0/")
            _wait_until_up(f"http://127.0.0.1:{front}/healthz")
        yield [f"http://localhost:{front}" for _asgi, front in ports]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


def _wait_until_up(address: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 -- our own address
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
            continue
        return
    pytest.fail(f"nothing answers at {address}")
