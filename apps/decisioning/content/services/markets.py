"""Writes about markets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.decisioning.content.contracts import Problem, problems_refuse
from apps.decisioning.content.fields import language_is_valid
from apps.decisioning.content.models import Market
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.text import is_blank

from .rows import assign, created, known, locked, saved

_MARKET_FIELDS = frozenset({"name", "languages"})


def _market_check(market: Market) -> None:
    problems: list[Problem] = []
    if is_blank(market.name):
        problems.append(Problem("name", 0, "", "is needed"))
    languages = market.languages if isinstance(market.languages, list) else []
    wrong = [tag for tag in languages if not (isinstance(tag, str) and language_is_valid(tag))]
    if wrong or not languages or len(set(languages)) < len(languages):
        problems.append(Problem("languages", 0, "", "must be language tags such as en or de-AT, each once"))
    problems_refuse("market_refused", problems, "The market can't be saved")


def market_create(*, by: User, code: str, name: str, languages: Sequence[str]) -> Market:
    """A market. languages: the tags that its content is written in, the first leads.

    Raises Invalid, Conflict for a code in use, NotAllowed.
    """
    right_require(by, "add", Market, what="add markets")
    market = Market(code=code, name=name.strip(), languages=list(languages))
    _market_check(market)
    return created(market, by, "content.market.created", f"There is a market {code} already")


def market_update(*, market_id: int, by: User, seen_at: datetime | None = None, **values: Any) -> Market:
    """Change a market's name or languages. Raises Invalid, NotFound, NotAllowed."""
    with transaction.atomic():
        market = locked(Market, market_id)
        right_require(by, "change", market, what="change this market")
        unchanged_since(market, seen_at)
        changed = assign(market, known(values, _MARKET_FIELDS))
        _market_check(market)
        return saved(market, changed, by, "content.market.changed")
