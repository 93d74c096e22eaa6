"""What the sample shop's staff made: content, audiences and playbooks, each agreed to by somebody else."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from django.contrib.contenttypes.models import ContentType

from apps.data.consent.models import Topic
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.content.case_files import cases_read
from apps.decisioning.content.cases import arrangement_read
from apps.decisioning.content.models import Brand, Market, Template
from apps.decisioning.content.notation import Reading
from apps.decisioning.content.services import (
    block_create,
    block_type_create,
    brand_create,
    market_create,
    template_create,
)
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.ready_made import LIFE, SYSTEM, layout_add, ready_made_all, ready_made_copy
from apps.decisioning.playbooks.services import playbook_create, playbook_publish, playbook_submit
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import user_scope_set
from apps.foundation.governance.models import Approval, Review
from apps.foundation.governance.services import review_answer

from .asking import asking_make
from .sign_up import sign_up_make

_HERE = Path(__file__).parent

HIGH_VALUE: dict[str, Any] = {"orders": {"at_least": 5, "within_days": 365}}
LAPSED: dict[str, Any] = {
    "all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "within_days": 180}}],
}
AUDIENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "Everybody": ("All customers. Who may not be written to is withheld, with the reason.", {"all": []}),
    "Newsletter readers": (
        "Agreed to marketing by e-mail, and opened a newsletter within half a year.",
        {
            "all": [
                {"consent": "marketing", "channel": "email", "is": True},
                {"event": "Email Opened", "at_least": 1, "within_days": 180},
            ]
        },
    ),
    "Lapsed buyers": ("At least two orders, and none within half a year.", LAPSED),
    "High value": ("At least five orders within a year.", HIGH_VALUE),
}
"""Name → what it means, and its rule."""

MARKETS: dict[str, tuple[str, list[str]]] = {
    "dach": ("Germany, Austria, Switzerland", ["de", "en"]),
    "france": ("France and Belgium", ["fr", "en"]),
    "world": ("All countries", ["en", "de", "fr", "es", "ar"]),
}
"""Code → name, and the languages of its content."""
MARKET_OF = {"Hero: German-speaking": "dach", "Hero: French-speaking": "france"}
"""Blocks that are a market's; the others are everybody's, and the central team writes them."""
WORK_IN = {"local_editor": ("dach",), "publisher": ("dach", "france", "world")}
"""Role → the markets in which its person works."""

_GERMAN_SPEAKING: dict[str, Any] = {"attribute": "country", "in": ["DE", "AT", "CH"]}
_FRENCH_SPEAKING: dict[str, Any] = {"attribute": "country", "in": ["FR", "BE"]}
_COUNTRY_HEROES: list[dict[str, Any]] = [
    {
        "tier": "country",
        "name": "Germany, Austria, Switzerland",
        "block": "Hero: German-speaking",
        "when": _GERMAN_SPEAKING,
    },
    {"tier": "country", "name": "France, Belgium", "block": "Hero: French-speaking", "when": _FRENCH_SPEAKING},
]
_PRODUCTS: list[dict[str, Any]] = [
    {"tier": "personal", "name": "goes with what they bought", "block": "Picks: for you", "source": "neighbours"},
    {"tier": "category", "name": "top category", "block": "Picks: for you", "source": "category"},
    {"tier": "country", "name": "their country", "block": "Picks: in your country", "source": "country"},
    {"tier": "site", "name": "the shop", "block": "Picks: best sellers", "source": "shop"},
    {"tier": "static", "name": "our promise", "block": "Our promise"},
]
_FOOT = {
    "promise": [{"tier": "static", "block": "Our promise, in short"}],
    "legal": [{"tier": "static", "block": "Legal footer"}],
}
WEEKLY_SLOTS: dict[str, list[dict[str, Any]]] = {
    "subject": [{"tier": "static", "block": "Subject: for your home"}],
    "preview": [{"tier": "static", "block": "Preview: this week"}],
    "hero": [
        {"tier": "segment", "name": "best customers", "block": "Hero: best customers", "when": HIGH_VALUE},
        *_COUNTRY_HEROES,
        {"tier": "static", "name": "everybody", "block": "Hero: everybody"},
    ],
    "products": _PRODUCTS,
    **_FOOT,
}
WINBACK_SLOTS: dict[str, list[dict[str, Any]]] = {
    "subject": [{"tier": "static", "block": "Subject: it has been a while"}],
    "preview": [{"tier": "static", "block": "Preview: what is new since"}],
    "hero": [{"tier": "static", "name": "everybody", "block": "Hero: welcome back"}],
    "products": _PRODUCTS,
    **_FOOT,
}


def campaigns_make(*, staff: Mapping[str, User], as_of: datetime, done: Callable[[str, int], None]) -> None:
    """Content, audiences, recommendations and playbooks.

    staff: a user by role; done: told of each kind, and how many there are.
    """
    publisher = staff["publisher"]
    asking_make(staff=staff, as_of=as_of)
    done("topics", Topic.objects.count())
    brand, template = content_make(staff, done)
    for group in (LIFE, SYSTEM):
        layout_add(by=staff["engineer"], group=group)
    audiences = {
        name: Audience.objects.create(name=name, description=meaning, rule=rule, owner=publisher)
        for name, (meaning, rule) in AUDIENCES.items()
        if rule_parse(rule)
    }
    done("audiences", len(audiences))
    done("best sellers", recommendation_set_refresh(as_of=as_of).best_sellers.count())
    common: dict[str, Any] = {
        "brand": brand,
        "template": template,
        "kpi": "orders per message",
        "cap_count": 3,
        "cap_days": 7,
    }
    weekly = playbook_create(
        by=publisher,
        code="weekly-picks",
        name="Weekly picks",
        description="Three products for each customer, and a hero by country and segment.",
        audience=audiences["Everybody"],
        slots=WEEKLY_SLOTS,
        topic=Topic.objects.get(pk="picks"),
        approval_path=["brand_approver", "legal_approver"],
        **common,
    )
    version = playbook_submit(playbook_id=weekly.pk, by=publisher, note="First issue. The texts are as we agreed.")
    _agree(version, staff["brand_approver"], "Reads well. Colours and tone are ours.")
    _agree(version, staff["legal_approver"], "Postal address and both links are there.")
    playbook_publish(version_id=version.pk, by=publisher)
    winback = playbook_create(
        by=publisher,
        code="lapsed-buyers-winback",
        name="Win back lapsed buyers",
        description="Every Tuesday morning, to those who bought twice or more and not within half a year.",
        audience=audiences["Lapsed buyers"],
        slots=WINBACK_SLOTS,
        trigger=Playbook.Trigger.SCHEDULE,
        schedule="0 9 * * 2",
        topic=Topic.objects.get(pk="offers"),
        time_zone="Europe/Vienna",
        approval_path=["brand_approver"],
        **common,
    )
    playbook_submit(playbook_id=winback.pk, by=publisher, note="For Tuesdays from now on. Please look at the new hero.")
    system_mail_publish(brand, staff)
    sign_up_make(brand, staff)
    done("playbooks", Playbook.objects.count())


def system_mail_publish(brand: Brand, staff: Mapping[str, User]) -> None:
    """The ready-made system mail, taken as it is: so that every page of customers works from the start."""
    publisher, market = staff["publisher"], Market.objects.get(code="world")
    for found in ready_made_all(SYSTEM):
        playbook = ready_made_copy(code=found.code, brand=brand, name="", by=publisher, market=market)
        version = playbook_submit(playbook_id=playbook.pk, by=publisher, note="As it came, in five languages.")
        _agree(version, staff["brand_approver"], "Clear, and nothing of it is advertising where it must not be.")
        playbook_publish(version_id=version.pk, by=publisher)


def content_make(staff: Mapping[str, User], done: Callable[[str, int], None]) -> tuple[Brand, Template]:
    """Brand, block types, blocks and template from the files beside this one, each by whose role it is."""
    boss, engineer = staff["administrator"], staff["engineer"]
    brand = brand_create(by=boss, **_read("content/brand.yaml"))
    markets = {
        code: market_create(by=boss, code=code, name=name, languages=languages)
        for code, (name, languages) in MARKETS.items()
    }
    done("markets", len(markets))
    for role, codes in WORK_IN.items():
        given = [str(markets[code].pk) for code in codes]
        user_scope_set(user_id=staff[role].pk, key="markets", ids=given, by=boss)
    types = {
        code: block_type_create(by=engineer, code=code, **entry).pk
        for code, entry in _read("content/block_types.yaml").items()
    }
    done("block types", len(types))
    blocks = _read("content/blocks.yaml") | _read("winback.yaml")
    for name, entry in blocks.items():
        kind, code = entry.pop("type"), MARKET_OF.get(name, "")
        by = staff["local_editor"] if code in WORK_IN["local_editor"] else boss
        block_create(by=by, name=name, type_id=types[kind], market=markets.get(code), **entry)
    done("blocks", len(blocks))
    sources: dict[str, Any] = {
        source: (_HERE / "content" / f"weekly_picks.{ending}").read_text("utf-8")
        for source, ending in (("subject", "subject"), ("mjml", "mjml"), ("text", "txt"))
    }
    arrangement, _ = arrangement_read(Reading({"brand": brand.code, "slots": WEEKLY_SLOTS}, "weekly picks"))
    cases = cases_read(_HERE / "content" / "weekly_picks", arrangement)
    return brand, template_create(
        by=engineer, code="weekly_picks", name="Weekly picks", arrangement=arrangement, cases=cases, **sources
    )


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((_HERE / name).read_text("utf-8"))
    return data


def _agree(version: PlaybookVersion, by: User, comment: str) -> None:
    review = Review.objects.get(
        content_type=ContentType.objects.get_for_model(PlaybookVersion), object_id=version.pk, state=Review.State.OPEN
    )
    review_answer(review_id=review.pk, by=by, verdict=Approval.Verdict.APPROVE, comment=comment)
