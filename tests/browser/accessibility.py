"""axe-core on a page: WCAG 2.2 A and AA, and its best practices."""

import json

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_FOUND = """axe.run(%s, {resultTypes: ["violations"]}).then(found => found.violations.flatMap(one => one.nodes.map(
  node => `${one.id} (${one.impact}): ${node.target} ${node.html.slice(0, 120)}`)))"""


def violations(page: Page, *, within: str | None = None) -> list[str]:
    """What axe finds wrong, one line each: rule, impact, where. `within`: only inside this selector."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    return [str(line) for line in page.evaluate(_FOUND % (json.dumps(within) if within else "document"))]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window: 0 where nothing is cut off."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
