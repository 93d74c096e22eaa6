"""Rows as deciding and sending leave them, for the pages that show them."""

from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Brand, CompiledTemplate, Template, TemplateVersion
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run, RunBatch
from apps.delivery.sending.contracts import Claimed
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message
from apps.delivery.sending.rendering import message_prepare
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_user, put_sealed

_number = count(1)
NIL_DIGEST = "0" * 64


def make_run(*, purpose: str = "marketing", name: str = "Win-back", people: int = 0, owner: User | None = None) -> Run:
    """A run of a published playbook, as of now, with nothing decided."""
    number = next(_number)
    owner = owner or make_user("publisher")
    brand = Brand.objects.create(
        code=f"brand-of-run-{number}",
        owner=owner,
        name="Fern & Field",
        from_name="Fern & Field",
        from_email="hello@shop.example",
        postal_address="1 High Street, Exampleton",
        shop_url="https://shop.example/",
        link_hosts=["shop.example"],
    )
    template = Template.objects.create(code=f"template-{number}", name="Letter", owner=owner)
    template_version = TemplateVersion.objects.create(
        template=template,
        number=1,
        subject="Hello",
        mjml="<mjml></mjml>",
        text="Hello",
        slots=["hero"],
        digest=NIL_DIGEST,
        created_by=owner,
    )
    audience = Audience.objects.create(
        name=f"Customers of Austria {number}", rule={"attribute": "country", "in": ["AT"]}, owner=owner
    )
    playbook = Playbook.objects.create(
        code=f"playbook-{number}",
        name=name,
        owner=owner,
        audience=audience,
        brand=brand,
        template=template,
        purpose_id=purpose,
        approval_path=["brand_approver"],
    )
    spec: dict[str, Any] = {
        "playbook": playbook.code,
        "name": playbook.name,
        "trigger": "hand",
        "schedule": "",
        "time_zone": "UTC",
        "purpose": purpose,
        "channel": "email",
        "budget": "bulk",
        "audience_id": audience.pk,
        "audience_rule": audience.rule,
        "template_version": template_version.pk,
        "brand": {
            "code": brand.code,
            "name": brand.name,
            "from_name": brand.from_name,
            "from_email": brand.from_email,
            "reply_to": "",
            "postal_address": brand.postal_address,
            "shop_url": brand.shop_url,
            "link_hosts": brand.link_hosts,
            "colours": {},
            "default_language": "en",
        },
        "slots": {
            "hero": [
                {
                    "tier": "segment",
                    "name": "Austria",
                    "block_version": 1,
                    "when": audience.rule,
                    "source": None,
                    "count": 0,
                },
                {"tier": "static", "name": "Everybody", "block_version": 2, "when": None, "source": None, "count": 0},
            ]
        },
        "languages": ["en"],
        "cap": {"count": 1, "days": 7},
        "send_within_hours": 24,
        "kpi": "orders per message",
        "approval_path": ["brand_approver"],
    }
    compiled = CompiledTemplate.objects.create(
        digest=sha256(str(number).encode()).hexdigest(),
        language="en",
        subject="A word from Fern & Field",
        html=(
            "<!doctype html><html><body style='font-family: sans-serif; padding: 2rem'><h1>Fern &amp; Field</h1>"
            "<p>Hello {{ profile.first_name | fallback('friend') }}, it has been a while.</p>"
            "<p><a href='{{ links.unsubscribe }}'>Unsubscribe</a></p></body></html>"
        ),
        text="Hello {{ profile.first_name | fallback('friend') }}\n\nLeave: {{ links.unsubscribe }}\n",
        tokens=["first_name"],
        link_hosts=["shop.example"],
        shop_url="https://shop.example/",
        largest_bytes=2_000,
    )
    version = PlaybookVersion.objects.create(
        playbook=playbook,
        number=1,
        spec=spec,
        compiled={"en": compiled.pk},
        digest=NIL_DIGEST,
        state=PlaybookVersion.State.PUBLISHED,
        created_by=owner,
        published_by=owner,
        published_at=now(),
    )
    playbook.published = version
    playbook.save(update_fields=["published"])
    run = Run.objects.create(
        playbook=playbook,
        version=version,
        occasion_key=f"occasion-{number}",
        trigger="hand",
        state=Run.State.DECIDED,
        as_of=now(),
        people=people,
        started_by=owner,
        decided_at=now(),
    )
    if people:
        RunBatch.objects.create(run=run, number=1, profile_ids=[], decided_at=now())
    return run


def make_dispatch(run: Run) -> Dispatch:
    """Delivery's side of a run."""
    return Dispatch.objects.get_or_create(
        run_id=run.pk,
        defaults={
            "label": str(run),
            "occasion": f"{run.playbook.code}/{run.pk}",
            "purpose": run.version.spec["purpose"],
            "needs_consent": True,
            "channel": "email",
            "from_name": "Fern & Field",
            "from_email": "hello@shop.example",
            "not_after": now() + timedelta(hours=24),
        },
    )[0]


def make_decision(
    *,
    run: Run,
    profile: Profile | None = None,
    outcome: str = "send",
    tier: str = "static",
    inputs: dict[str, Any] | None = None,
    reasons: dict[str, Any] | None = None,
    **fields: Any,
) -> Decision:
    """A decision for one person of a run."""
    decision = Decision(
        run=run,
        profile=profile or make_profile(),
        outcome=outcome,
        compiled_id=run.version.compiled["en"] if outcome == "send" else None,
        tier=tier if outcome == "send" else "",
        decided_at=now(),
        **fields,
    )
    return put_sealed([(decision, Kept(inputs or {}, reasons or {}))])[0]


def make_message(
    *,
    run: Run | None = None,
    purpose: str = "marketing",
    consent: tuple[str, ...] = ("marketing",),
    tier: str = "static",
    state: str = "sent",
    reason: str = "",
) -> Message:
    """A message with its decision, and its attempt where one was made."""
    run = run or make_run(purpose=purpose)
    profile = make_profile(consent=consent)
    inputs = {
        "language": "en",
        "profile": {"first_name": "Carla"},
        "slots": {"hero": {"block": "2", "tier": "static"}},
    }
    reasons = {"slots": {"hero": {"at": 1, "no": [[{"field": "country", "is": "FR", "wanted": "in AT"}]]}}}
    decision = make_decision(run=run, profile=profile, tier=tier, inputs=inputs, reasons=reasons)
    digest = profile.identifiers.get(kind="email").digest
    address = addresses_read(profile_ids=[profile.pk], kind="email")[profile.pk]
    at = now()
    message = Message(
        id=decision.pk,
        dispatch=make_dispatch(run),
        profile=profile,
        purpose=purpose,
        channel="email",
        compiled_id=decision.compiled_id,
        state=state,
        reason=reason,
        address_digest=digest,
        attempts=1 if state == "sent" else 0,
        sending_at=at if state == "sent" else None,
        finished_at=at,
    )
    if state == "sent":
        key, compiled_id = str(message.pk), decision.compiled_id
        claimed = Claimed(message.pk, 0, 0, profile.pk, compiled_id, b"", "", None, inputs, "", key)
        prepared = message_prepare(claimed, message.dispatch, address=address, at=at.replace(microsecond=0))
        message.key_id, message.dated_at = prepared.key_id, prepared.dated_at
        message.content_digest, message.size = prepared.digest, len(prepared.content)
    message.save(force_insert=True)
    if state == "sent":
        DeliveryAttempt.objects.create(
            message=message,
            number=1,
            started_at=now(),
            finished_at=now(),
            outcome="accepted",
            code="250",
            response="OK",
        )
    return message
