"""Tests: a playbook's message sent to the member of staff who asks for it, as somebody else would see it.

Decided and made by the functions that real runs use, over the real channel, and only ever to the address of the one who
is signed in. It is no message to a customer: it stands in no ledger, counts for no cap, and its links act for nobody.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle, islice
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction

from apps.data.consent.links import trial_links
from apps.data.features.definitions import FEATURES
from apps.data.profiles.attributes import sensitive_names
from apps.data.profiles.vault import Erased, Place, Tampered, keys_make, vault_open
from apps.decisioning.audiences.contracts import (
    AskedAgain,
    Attribute,
    Consent,
    Count,
    FeatureIs,
    InAudience,
    Interest,
    PersonFacts,
    rule_leaves,
)
from apps.decisioning.content.choosing import Tier
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.models import Persona as OwnPersona
from apps.decisioning.content.previews import PERSONAS, Persona
from apps.decisioning.content.trials import sample_items
from apps.decisioning.decisions.engine import SEND, Person, Plan, Verdict, decide
from apps.decisioning.decisions.services import people_decide, plan_load
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.recommendations.contracts import PersonTaste, ShownAt
from apps.decisioning.recommendations.selectors import candidates_for, latest_set
from apps.delivery.channels.errors import OutcomeUnknown
from apps.delivery.sending.contracts import LetterTerms
from apps.delivery.sending.rendering import message_make
from apps.delivery.sending.staff_mail import staff_mail_hand_over
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound, ProviderError
from apps.foundation.core.live import live_publish
from apps.foundation.governance.services import audit_record

from .dry_runs import content_pinned, letter_terms, step_specs
from .models import TestSend
from .signals import own_test_waits
from .words import reason_in_words

logger = logging.getLogger(__name__)

State = TestSend.State

PREFIX: Final = "[Test] "
"""Before the subject, so that nobody takes it for the real one."""
TABLE: Final = "console_testsend"
COLUMN: Final = "sealed"
_EMPTIED: Final[dict[str, Any]] = {"inputs": {}, "profile": None, "sealed": b""}
_MOST_PERSONAS = 200
_HOUR = timedelta(hours=1)
_QUIET = timedelta(seconds=20)
_LOST = timedelta(minutes=20)
"""Above all time-outs of SMTP: what was being handed over for so long has no process any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see.

    persona: the code of an invented person, or profile_id: a real one; language: "" for theirs; tiers: for slots, the
    place of the tier to show, from 0; others as decided for the person.
    """

    persona: str = ""
    profile_id: int | None = None
    step: str = ""
    language: str = ""
    tiers: Mapping[str, int] | None = None


def personas() -> Sequence[Persona]:
    """The invented people to look as: those that come with Tessera, and staff's own."""
    own = OwnPersona.objects.order_by("name")[:_MOST_PERSONAS]
    return [*PERSONAS, *(Persona(f"own-{one.pk}", one.name, one.profile) for one in own)]


def own_test_make(*, by: User, playbook_id: int, wish: Wish, version_id: int | None = None) -> TestSend:
    """Send a message to oneself: of a version, or of the playbook as it would be handed in now.

    Raises NotAllowed, NotFound, PlaybookInvalid and Invalid (what keeps it from being handed in, or a wrong wish),
    Conflict for somebody who would get nothing, and when there were too many tests within an hour.
    """
    if not by.has_perms(["console.make_testsend", "playbooks.view_playbook"]):
        raise NotAllowed("not_allowed", "You may not send tests: ask an editor or a publisher")
    if wish.profile_id is not None and not by.has_perm("profiles.view_profile"):
        raise NotAllowed("not_allowed", "You may not see customers: choose an invented person")
    playbook = Playbook.objects.filter(pk=playbook_id).first()
    if playbook is None:
        raise NotFound("playbook_unknown", "There is no such playbook")
    _room(by)
    content = content_pinned(playbook, version_id)
    spec = next((one for step, _title, one in step_specs(content["spec"]) if step == wish.step), None)
    if spec is None:
        raise Invalid("step_unknown", "It has no such message")
    plan = plan_wished(plan_load(spec, content["compiled_steps"].get(wish.step, content["compiled"])), wish)
    hidden = set() if by.has_perm("profiles.view_sealedattribute") else sensitive_names()
    verdict, seen_as = verdict_wished(plan, spec, wish, hidden)
    assert verdict.compiled is not None  # noqa: S101  # a message has one
    terms = letter_terms(spec)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        _room(by)
        test = TestSend(
            user=by,
            playbook=playbook,
            version=content["version"],
            step=wish.step,
            seen_as=seen_as,
            language=verdict.inputs["language"],
            compiled_id=verdict.compiled,
            profile_id=wish.profile_id,
            inputs={} if wish.profile_id is not None else verdict.inputs,
            sender={"from_name": terms.from_name, "from_email": terms.from_email, "reply_to": terms.reply_to},
            list_label=terms.list_label,
        )
        if wish.profile_id is not None:
            test.sealed = _sealed(test, wish.profile_id, verdict)
        test.save(force_insert=True)
        audit_record(
            action="console.testsend.made",
            actor=by,
            subject=playbook,
            data={
                "digest": content["digest"],
                "seen_as": wish.persona or "profile",
                "language": test.language,
                "tiers": dict(wish.tiers or {}),
            },
        )
        transaction.on_commit(lambda: own_test_waits.send(TestSend, test_send_id=test.pk))
    return test


def _sealed(test: TestSend, profile_id: int, verdict: Verdict) -> bytes:
    """What a test is rendered with, sealed with the person's key in case they are erased before it is out.

    Raises Conflict.
    """
    keys_make([profile_id])
    try:
        return vault_open([profile_id]).seal(profile_id, _place(test), orjson.dumps(verdict.inputs))
    except Erased:
        raise Conflict("erased", "This person was erased") from None


def _inputs(test: TestSend) -> dict[str, Any]:
    """What a test is rendered with. Raises Conflict."""
    if test.profile_id is None:
        return dict(test.inputs)
    try:
        sealed = vault_open([test.profile_id]).open(test.profile_id, _place(test), bytes(test.sealed))
    except (Erased, Tampered):
        raise Conflict("erased", "What is known of this person can't be read any more") from None
    return dict(orjson.loads(sealed))


def _place(test: TestSend) -> Place:
    return Place(TABLE, COLUMN, str(test.pk))


def _room(by: User) -> None:
    most = settings.TEST_SENDS_PER_HOUR
    if TestSend.objects.filter(user=by, created_at__gt=now() - _HOUR).count() >= most:
        raise Conflict("too_many_tests", f"You had {most} tests sent within an hour: wait a little")


def plan_wished(plan: Plan, wish: Wish) -> Plan:
    """The plan with the language and the tiers that somebody wants to see. Raises Invalid for what it doesn't have."""
    if wish.language:
        if wish.language not in plan.compiled:
            raise Invalid("language_unknown", f"It comes in {', '.join(plan.compiled)}")
        plan = replace(plan, compiled={wish.language: plan.compiled[wish.language]}, default_language=wish.language)
    slots = dict(plan.slots)
    for slot, place in (wish.tiers or {}).items():
        if slot not in slots or not 0 <= place < len(slots[slot]):
            raise Invalid("tier_unknown", f"The slot {slot} has no such tier")
        tier = replace(slots[slot][place], rule=None)
        slots[slot] = (tier, replace(tier, source=None)) if tier.source is not None else (tier,)
    return replace(plan, slots=tuple(slots.items()))


def verdict_wished(plan: Plan, spec: PlaybookSpec, wish: Wish, hidden: Collection[str] = ()) -> tuple[Verdict, str]:
    """What the one who is looked as would get, and who that is in words. hidden: attributes that stay unknown in it.

    Raises NotFound, Conflict for somebody who would get nothing.
    """
    if wish.profile_id is not None:
        verdict, seen_as = _verdict_of_profile(plan, spec, wish.profile_id, hidden), f"profile {wish.profile_id}"
    else:
        persona = next((one for one in personas() if one.code == wish.persona), None)
        if persona is None:
            raise NotFound("persona_unknown", "There is no such invented person")
        verdict, seen_as = decide(plan, person_of(persona, plan, spec)), persona.title
    if verdict.outcome != SEND:
        raise Conflict("person_withheld", f"They would get nothing: {reason_in_words(verdict.outcome).lower()}")
    return _with_items(verdict, plan, spec, wish), seen_as


def _verdict_of_profile(plan: Plan, spec: PlaybookSpec, profile_id: int, hidden: Collection[str]) -> Verdict:
    with connection.cursor() as cursor:
        decided = people_decide(
            cursor,
            plan=plan,
            purpose=spec["purpose"],
            channel=spec["channel"],
            profile_ids=[profile_id],
            as_of=now(),
            at=now(),
            hidden=hidden,
        )
    if not decided.verdicts:
        raise NotFound("profile_unknown", "There is no such customer")
    return decided.verdicts[0][1]


def person_of(persona: Persona, plan: Plan, spec: PlaybookSpec) -> Person:
    """An invented person as the engine takes one: agreed to this purpose, never bought, did and chose nothing."""
    leaves = [leaf for rule in plan.rules for leaf in rule_leaves(rule)]
    chosen = (spec["purpose"], spec["channel"])
    country, language = (str(persona.profile.get(name) or "") for name in ("country", "language"))
    cards: Mapping[str, Any] = {}
    if plan.sources:
        newest = latest_set()
        cards = candidates_for(
            set_id=newest.pk if newest is not None else None,
            people={0: PersonTaste(country=country)},
            sources=plan.sources,
            count=plan.most_items,
            shown_at=ShownAt(plan.brand, plan.placement, now()),
        )[0]
    return Person(
        gate="",
        language=language,
        values=persona.profile,
        facts=PersonFacts(
            attributes={leaf.name: persona.profile.get(leaf.name) for leaf in leaves if isinstance(leaf, Attribute)},
            counts={leaf.what: 0 for leaf in leaves if isinstance(leaf, Count)},
            consents={
                (leaf.purpose, leaf.channel): (leaf.purpose, leaf.channel) == chosen
                for leaf in leaves
                if isinstance(leaf, Consent)
            },
            asked={(leaf.purpose, leaf.channel): False for leaf in leaves if isinstance(leaf, AskedAgain)},
            interests={leaf.code: False for leaf in leaves if isinstance(leaf, Interest)},
            features={leaf.feature: FEATURES[leaf.feature].default for leaf in leaves if isinstance(leaf, FeatureIs)},
            audiences={leaf.audience: False for leaf in leaves if isinstance(leaf, InAudience)},
        ),
        cards=cards,
    )


def _with_items(verdict: Verdict, plan: Plan, spec: PlaybookSpec, wish: Wish) -> Verdict:
    """Slots that are to show a list for which the person has too few items show sample items."""
    slots: dict[str, Any] = dict(verdict.inputs["slots"])
    for slot, tiers in plan.slots:
        if slot in (wish.tiers or {}) and tiers[0].source is not None and "items" not in slots[slot]:
            slots[slot] = {**slots[slot], "items": _sample_items(tiers[0], spec)}
    return replace(verdict, inputs={**verdict.inputs, "slots": slots})


def _sample_items(tier: Tier, spec: PlaybookSpec) -> list[dict[str, str]]:
    return list(islice(cycle(sample_items(spec["brand"]["shop_url"])), tier.count))


def own_test_hand_over(*, test_send_id: UUID) -> None:
    """Hand a test that waits over to the mail server, once: what its answer was, or that none came, is kept.

    What it was rendered with is forgotten. Done twice, nothing happens the second time.
    """
    if not TestSend.objects.filter(pk=test_send_id, state=State.WAITING).update(state=State.SENDING):
        return
    test = TestSend.objects.select_related("user").get(pk=test_send_id)
    state, response = State.FAILED, ""
    try:
        if not test.user.is_active:
            raise Conflict("account_closed", "The account is closed")
        made = message_make(
            message_id=test.pk,
            compiled_id=test.compiled_id,
            inputs=_inputs(test),
            links=trial_links(test_id=test.pk),
            terms=LetterTerms(list_label=test.list_label, **test.sender),
            address=test.user.email,
            dated_at=now(),
            subject_prefix=PREFIX,
        )
        receipt = staff_mail_hand_over(
            sender=test.sender["from_email"], recipient=test.user.email, content=made.content
        )
        state, response = State.SENT, f"{receipt.code} {receipt.response}"
    except OutcomeUnknown as error:
        state, response = State.UNKNOWN, str(error)
    except (ProviderError, RenderError, Conflict) as error:
        response = str(error)
    TestSend.objects.filter(pk=test_send_id, state=State.SENDING).update(
        state=state, response=response[:300], finished_at=now(), **_EMPTIED
    )
    live_publish(f"test-send-{test_send_id}")


def own_tests_dropped() -> list[UUID]:
    """Tests that wait and were not taken up. Those whose process was lost while it handed over become `unknown`."""
    TestSend.objects.filter(state=State.SENDING, created_at__lt=now() - _LOST).update(
        state=State.UNKNOWN, finished_at=now(), **_EMPTIED
    )
    old = now() - timedelta(hours=settings.DRY_RUN_KEEP_HOURS)
    TestSend.objects.filter(finished_at__lt=old).delete()
    waiting = TestSend.objects.filter(state=State.WAITING, created_at__lt=now() - _QUIET)
    return list(waiting.values_list("pk", flat=True))
