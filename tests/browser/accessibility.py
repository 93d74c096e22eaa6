"""axe-core on a page: WCAG 2.2 A and AA, and its best practices."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()


def violations(page: Page, *, within: str | None = None) -> list[str]:
    """What axe finds wrong, one line each: rule, impact, where. `within`: only inside this selector."""
    result = _AXE.run(page, context=within) if within else _AXE.run(page)
    return [
        f"{found['id']} ({found['impact']}): {node['target']} {node['html'][:120]}"
        for found in result.response["violations"]
        for node in found["nodes"]
    ]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window: 0 where nothing is cut off."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
