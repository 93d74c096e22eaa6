"""What it tells of the personal data it holds: the messages of a person, and tries to hand them over."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import Purpose
from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Phase,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict

from .models import DeliveryAttempt, EventRaw, Message, MessageEvent
from .reports import events_forget, person_forget, raws_forget
from .rules import HELD, WAITING, leaving


def _messages(profile_id: int) -> Iterator[Row]:
    names = dict(Purpose.objects.values_list("code", "name"))
    messages = Message.objects.filter(profile_id=profile_id).select_related("dispatch")
    for one in messages.order_by("pk").iterator(chunk_size=500):
        yield {
            "what": one.dispatch.label,
            "purpose": names.get(one.purpose, one.purpose),
            "channel": one.channel,
            "state": one.get_state_display(),
            "why_not": one.reason,
            "made": one.created_at,
            "sent": one.sending_at,
        }


def _came_back(profile_id: int) -> Iterator[Row]:
    events = MessageEvent.objects.filter(message__profile_id=profile_id).select_related("message__dispatch")
    for one in events.order_by("pk").iterator(chunk_size=500):
        yield {
            "what": one.message.dispatch.label,
            "happened": one.get_kind_display(),
            "when": one.occurred_at,
            "link": one.link,
            "details": " ".join(part for part in (one.bounce, one.code, one.response, one.machine) if part),
        }


def _forget_what_came_back(person: Person) -> Forgotten:
    count = person_forget(person.profile_id)
    return Forgotten(count, "Whether a message arrived, bounced or was complained of, by number.")


def _cancel(person: Person) -> Forgotten:
    """What waits is cancelled. What a sender holds right now is let end first: its address is needed to settle it."""
    own = Message.objects.filter(profile_id=person.profile_id)
    count = 0
    for state in WAITING:
        leaving(state, to=Message.State.CANCELLED)
        count += own.filter(state=state).update(state=Message.State.CANCELLED, finished_at=now())
    if own.filter(state__in=HELD).exists():
        raise Conflict("message_under_way", "A message is being handed over: it ends within minutes")
    return Forgotten(count)


def _forget(person: Person) -> Forgotten:
    """That something was sent stays, by number; whereto does not."""
    own = Message.objects.filter(profile_id=person.profile_id)
    DeliveryAttempt.objects.filter(message__in=own.values("pk")).exclude(response="").update(response="")
    count = own.exclude(address_digest=None).update(address_digest=None)
    return Forgotten(count, "When a message went out, and for which purpose, by number: it shows that the rules held.")


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "messages",
        _("Messages to you"),
        _messages,
        words={
            "what": _("What"),
            "purpose": _("What for"),
            "channel": _("By"),
            "state": _("State"),
            "why_not": _("Why not"),
            "made": _("Made"),
            "sent": _("Sent"),
        },
    )
    export_part(
        "message_events",
        _("What came back of messages to you"),
        _came_back,
        words={
            "what": _("What"),
            "happened": _("What happened"),
            "when": _("When"),
            "link": _("Link"),
            "details": _("Details"),
        },
    )
    erase_step("message_events", _forget_what_came_back, title="What they opened and followed, and what was said")
    retention_rule("message_events", "What came back of messages", "MESSAGE_EVENT_KEEP_DAYS", events_forget)
    retention_rule(
        "event_raws", "What mail servers and providers said, to the letter", "EVENT_RAW_KEEP_DAYS", raws_forget
    )
    erase_step("messages", _cancel, title="Messages that wait are cancelled", phase=Phase.STOP)
    erase_step("send_ledger", _forget, title="Where messages went to")
    for model, categories, exported in (
        (Message, ("which message went out when, and what came of it; keyed digest of the address",), "messages"),
        (
            DeliveryAttempt,
            ("what the relay answered, without addresses",),
            Because("What came of each message is told; how often the relay was asked says nothing of the person."),
        ),
    ):
        processing_declare(
            model,
            purpose="Sending each message once, and being able to show what was sent",
            lawful_basis="consent; contract, for transactional messages",
            categories=categories,
            recipients=("the mail relay",),
            kept=Because("Kept for as long as the person is known: caps are counted from it, and nothing comes twice."),
            exported=exported,
            erased="send_ledger",
        )
    for heard, what, lawful_basis, kept, told in (
        (
            MessageEvent,
            ("whether a message arrived, bounced or was complained of; of who agreed, opens and links followed",),
            "consent, for opens and clicks; legitimate interest, for writing to nobody who can't be reached",
            "message_events",
            "message_events",
        ),
        (
            EventRaw,
            ("what mail servers and providers said of a message, sealed with the person's key",),
            "legitimate interest: to look into reports that were misunderstood",
            "event_raws",
            Because("What was understood of it is told; the letter is kept for a few days, to look into mistakes."),
        ),
    ):
        processing_declare(
            heard,
            purpose="Knowing what came of messages, and writing to nobody who can't or does not want to be reached",
            lawful_basis=lawful_basis,
            categories=what,
            recipients=(),
            kept=kept,
            exported=told,
            erased="message_events",
        )
