"""Decisions made by hand, so that delivery is tested without what decides."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from apps.data.consent.models import Channel, ConsentRecord, Purpose
from apps.data.consent.services import consents_grant_new
from apps.data.profiles.addresses import NewIdentifier, identifiers_add
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Brand, CompiledTemplate, Template
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.foundation.core.clock import now
from tests.factories import make_user, put_sealed

_number = count(1)

HTML = (
    "<html><body><h1>Hello {{ profile.first_name | fallback('friend') }}</h1>"
    '<p>News</p><a href="{{ links.preferences }}">choices</a><a href="{{ links.unsubscribe }}">leave</a></body></html>'
)
TEXT = "Hello {{ profile.first_name | fallback('friend') }}\n\nLeave: {{ links.unsubscribe }}\n"
SUBJECT = "News for {{ profile.first_name | fallback('you') }}"


def make_purposes() -> None:
    """The purposes that a migration brings, also after a test that emptied the tables."""
    for code, needs_consent in (("marketing", True), ("transactional", False)):
        Purpose.objects.get_or_create(
            code=code, defaults={"name": code, "description": code, "needs_consent": needs_consent}
        )


def make_compiled(html: str = HTML, text: str = TEXT, subject: str = SUBJECT) -> CompiledTemplate:
    """A compiled template."""
    number = next(_number)
    return CompiledTemplate.objects.create(
        digest=f"{number:064d}",
        language="en",
        subject=subject,
        html=html,
        text=text,
        tokens=["first_name"],
        link_hosts=["shop.example"],
        shop_url="https://shop.example/",
        largest_bytes=1000,
    )


def make_run(
    *,
    cap: tuple[int, int] | None = None,
    purpose: str = "marketing",
    topic: str = "",
    hours: int = 24,
    **fields: Any,
) -> Run:
    """A run with its playbook and version, being decided. cap: messages, days."""
    make_purposes()
    number = next(_number)
    owner = make_user("publisher")
    brand = {
        "name": "Shop",
        "from_name": "The Shop",
        "from_email": "news@shop.example",
        "reply_to": "help@shop.example",
        "link_hosts": ["shop.example"],
    }
    playbook = Playbook.objects.create(
        code=f"playbook-{number}",
        name=f"Playbook {number}",
        owner=owner,
        audience=Audience.objects.create(name=f"Everybody {number}", rule={"all": []}, owner=owner),
        brand=Brand.objects.create(
            code=f"brand-{number}", owner=owner, postal_address="1 Lane", shop_url="https://shop.example/", **brand
        ),
        template=Template.objects.create(code=f"template-{number}", name="News", owner=owner),
        purpose_id=purpose,
    )
    spec = {
        "name": playbook.name,
        "purpose": purpose,
        "topic": topic,
        "channel": "email",
        "brand": brand,
        "cap": None if cap is None else {"count": cap[0], "days": cap[1]},
        "send_within_hours": hours,
    }
    version = PlaybookVersion.objects.create(
        playbook=playbook, number=1, spec=spec, compiled={}, digest=f"{number:064d}", created_by=owner
    )
    values = {"trigger": "hand", "state": Run.State.DECIDING, "as_of": now(), **fields}
    return Run.objects.create(playbook=playbook, version=version, occasion_key=f"occasion-{number}", **values)


def make_decision(
    run: Run,
    profile: Profile,
    *,
    compiled: CompiledTemplate | None = None,
    outcome: str = "send",
    tier: str = "site",
    inputs: dict[str, Any] | None = None,
) -> Decision:
    """One decision, as the engine would write it."""
    if inputs is None:
        inputs = {"profile": {"first_name": profile.first_name} if profile.first_name else {}, "slots": {}}
    decision = Decision(
        run=run,
        profile=profile,
        outcome=outcome,
        compiled=compiled if outcome == "send" else None,
        tier=tier if outcome == "send" else "",
        decided_at=now(),
    )
    return put_sealed([(decision, Kept(inputs if outcome == "send" else {}))])[0]


def make_people(size: int, *, consent: bool = True, prefix: str = "person") -> list[int]:
    """Many people with an address and, if wanted, consent to marketing; made set-wise. Returns their ids."""
    make_purposes()
    number = next(_number)
    people = Profile.objects.bulk_create([Profile(first_name=f"Person {at}") for at in range(size)])
    ids = [profile.pk for profile in people]
    addresses = [f"{prefix}-{number}-{at}@example.com" for at in range(size)]
    identifiers_add(
        NewIdentifier(profile_id, "email", address, main=True)
        for profile_id, address in zip(ids, addresses, strict=True)
    )
    if consent:
        consents_grant_new(
            grants=[(profile_id, now()) for profile_id in ids],
            purpose="marketing",
            channel=Channel.EMAIL,
            method=ConsentRecord.Method.API,
            source="test",
            evidence="the test says so",
        )
    return ids


def make_decisions(run: Run, profile_ids: Sequence[int], compiled: CompiledTemplate) -> None:
    """A decision to send for each of these people, made set-wise."""
    common = {"run": run, "outcome": "send", "compiled": compiled, "tier": "site", "decided_at": now()}
    put_sealed(
        (Decision(profile_id=profile_id, **common), Kept({"profile": {"first_name": f"Zoë {profile_id}"}, "slots": {}}))
        for profile_id in profile_ids
    )


def later(**parts: int) -> datetime:
    """A moment so long from now."""
    return now() + timedelta(**parts)
