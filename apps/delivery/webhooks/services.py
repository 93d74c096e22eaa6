"""Writes about webhooks: endpoints, the news for them, and carrying it out.

What is told is written with what happened (`news_take`), so none is lost; whoever carries it out claims it first, so
that two don't try at once, and tries in no transaction. A receiver may get a piece of news twice (killed between its
answer and our record): it has the same id each time.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from apps.delivery.channels.standard_webhooks import headers_signed, secret_text
from apps.delivery.channels.webhook import TIMEOUT_SECONDS, Answer, webhook_post
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.core.ids import uuid7
from apps.foundation.core.outward import AddressRefused, target_read
from apps.foundation.core.postgres import copy_rows
from apps.foundation.governance.services import audit_record

from .models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from .rules import KINDS, breaker_pause, pause_after, secret_of
from .signals import news_waits

logger = logging.getLogger(__name__)

_CLAIM_SECONDS: Final = 6 * TIMEOUT_SECONDS
"""A claim is good for so long: more than a try can take."""
_OVERLAP: Final = timedelta(days=2)
"""How long an old secret signs beside the new one."""
State = WebhookDelivery.State


# --- endpoints ---


def _may(by: User, action: str) -> None:
    if not by.has_perm(f"webhooks.{action}_webhookendpoint"):
        raise NotAllowed("right_missing", "Webhooks are set up by administrators: ask one of them")


def _locked(endpoint_id: int) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound("endpoint_unknown", "There is no such endpoint")
    return endpoint


def endpoint_check(name: str, url: str, kinds: Sequence[str]) -> None:
    """Raise Invalid, its field in `extra`, for what an endpoint can't be."""
    if not name.strip():
        raise Invalid("name_missing", "Give the endpoint a name", {"field": "name"})
    try:
        target_read(url, inside=settings.WEBHOOK_INSIDE_HOSTS)
    except AddressRefused as error:
        raise Invalid("url_refused", f"This address can't be used: {error}", {"field": "url"}) from None
    if not kinds or not set(kinds) <= set(KINDS):
        raise Invalid("kinds_wrong", f"Choose at least one of {', '.join(KINDS)}", {"field": "kinds"})


def endpoint_create(*, by: User, name: str, url: str, kinds: Sequence[str]) -> WebhookEndpoint:
    """A new endpoint, active. Its secret: `endpoint_secret`. Raises Invalid, NotAllowed."""
    _may(by, "add")
    endpoint_check(name, url, kinds)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.create(
            name=name.strip(), url=url, kinds=sorted(set(kinds)), nonce=_nonce(), owner=by
        )
        audit_record(action="webhooks.endpoint.created", actor=by, subject=endpoint, data={"kinds": endpoint.kinds})
    return endpoint


def endpoint_version(endpoint: WebhookEndpoint) -> int:
    """What differs where people set an endpoint up otherwise."""
    said = orjson.dumps([endpoint.name, endpoint.url, endpoint.kinds, endpoint.active])
    return int.from_bytes(sha256(said).digest()[:7], "big")


def endpoint_update(
    *, endpoint_id: int, by: User, name: str, url: str, kinds: Sequence[str], active: bool, seen: int | None = None
) -> WebhookEndpoint:
    """Change an endpoint. Switched on again, it begins anew: what waits for it is tried at once.

    seen: its `endpoint_version` as the caller read it. Raises Invalid, NotAllowed, NotFound, Conflict for another one.
    """
    _may(by, "change")
    endpoint_check(name, url, kinds)
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        if seen is not None and endpoint_version(endpoint) != seen:
            raise Conflict("changed_meanwhile", "The endpoint was changed meanwhile: read it again")
        changed = [
            field
            for field, value in (
                ("name", name.strip()),
                ("url", url),
                ("kinds", sorted(set(kinds))),
                ("active", active),
            )
            if getattr(endpoint, field) != value
        ]
        endpoint.name, endpoint.url, endpoint.kinds = name.strip(), url, sorted(set(kinds))
        endpoint.active = active
        if {"active", "url"} & set(changed):
            endpoint.failures, endpoint.open_until, endpoint.disabled_because = 0, None, ""
        endpoint.save()
        if not active:
            _drop(endpoint)
        if changed:
            audit_record(action="webhooks.endpoint.changed", actor=by, subject=endpoint, data={"fields": changed})
    return endpoint


def endpoint_remove(*, endpoint_id: int, by: User) -> None:
    """Take an endpoint away, with what was on its way to it and the record of what arrived.

    Switched off, it keeps both. Raises NotAllowed, NotFound.
    """
    _may(by, "change")
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        data = {"name": endpoint.name, "url": endpoint.url}
        audit_record(action="webhooks.endpoint.removed", actor=by, subject=endpoint, data=data)
        endpoint.delete()


def endpoint_secret_change(*, endpoint_id: int, by: User) -> WebhookEndpoint:
    """Give an endpoint a new secret; the one before signs beside it for two days. Raises NotAllowed, NotFound, Conflict
    while the change before is under way: a third secret would cut the first one off early.
    """
    _may(by, "change")
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        if endpoint.old_until is not None and endpoint.old_until > now():
            raise Conflict("secret_changing", "The secret was changed within two days: let that change end first")
        endpoint.old_nonce, endpoint.old_until, endpoint.nonce = endpoint.nonce, now() + _OVERLAP, _nonce()
        endpoint.save(update_fields=["old_nonce", "old_until", "nonce"])
        audit_record(action="webhooks.endpoint.secret_changed", actor=by, subject=endpoint)
    return endpoint


def endpoint_secret(endpoint: WebhookEndpoint) -> str:
    """The secret by which its receiver verifies, as people get it."""
    return secret_text(_keys(endpoint, now())[0])


def _nonce() -> bytes:
    return random.SystemRandom().randbytes(32)


def _keys(endpoint: WebhookEndpoint, at: datetime) -> list[bytes]:
    """What signs at a moment: the newest first."""
    nonces = [endpoint.nonce]
    if endpoint.old_nonce is not None and endpoint.old_until is not None and endpoint.old_until > at:
        nonces.append(endpoint.old_nonce)
    return [secret_of(settings.ADDRESS_KEY.encode(), endpoint.pk, bytes(nonce)) for nonce in nonces]


def _drop(endpoint: WebhookEndpoint) -> None:
    endpoint.deliveries.filter(state=State.WAITING).update(state=State.DROPPED, finished_at=now())


# --- news ---


def news_take(kind: str, news: Sequence[dict[str, Any]]) -> None:
    """Write news down for the endpoints that want it, in the transaction of those who tell.

    By COPY: an import tells of grants by the thousand.
    """
    wanted = [
        endpoint_id
        for endpoint_id, kinds in WebhookEndpoint.objects.filter(active=True).values_list("pk", "kinds")
        if kind in kinds
    ]
    if not wanted:
        return
    at = now()
    events = [
        (uuid7(), kind, {"type": kind, "timestamp": at.isoformat(timespec="microseconds"), "data": one}, at)
        for one in news
    ]
    with connection.cursor() as cursor:
        copy_rows(cursor, WebhookEvent._meta.db_table, ["id", "kind", "payload", "created_at"], events)
        copy_rows(
            cursor,
            WebhookDelivery._meta.db_table,
            ["event_id", "endpoint_id", "state", "attempts", "next_at", "fence", "error"],
            ((event[0], endpoint_id, State.WAITING.value, 0, at, 0, "") for event in events for endpoint_id in wanted),
        )
    news_waits.send(WebhookEvent)


def endpoint_test(*, endpoint_id: int, by: User) -> WebhookDelivery:
    """Send an endpoint a test, whatever kinds it wants. Raises NotAllowed, NotFound, Conflict when it is off."""
    _may(by, "change")
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        if not endpoint.active:
            raise Conflict("endpoint_off", f"{endpoint} is off: switch it on first")
        event = WebhookEvent.objects.create(
            kind="webhook.test", payload={"type": "webhook.test", "timestamp": now().isoformat(), "data": {}}
        )
        delivery = WebhookDelivery.objects.create(event=event, endpoint=endpoint)
        news_waits.send(WebhookEvent)
    return delivery


def delivery_again(*, delivery_id: int, by: User) -> None:
    """Try a delivery again from the beginning, also one that arrived. Raises NotAllowed, NotFound, Conflict."""
    _may(by, "change")
    with transaction.atomic():
        delivery = (
            WebhookDelivery.objects.select_for_update(of=("self",)).select_related("endpoint").filter(pk=delivery_id)
        ).first()
        if delivery is None:
            raise NotFound("delivery_unknown", "There is no such delivery")
        if not delivery.endpoint.active:
            raise Conflict("endpoint_off", f"{delivery.endpoint} is off: switch it on first")
        WebhookDelivery.objects.filter(pk=delivery_id).update(
            state=State.WAITING, attempts=0, next_at=now(), finished_at=None, fence=F("fence") + 1
        )
        audit_record(action="webhooks.delivery.again", actor=by, subject=delivery)
        news_waits.send(WebhookEvent)


# --- carrying it out ---

_CLAIM: Final = """
UPDATE webhooks_webhookdelivery SET fence = fence + 1, next_at = %(until)s
WHERE id IN (
  SELECT delivery.id FROM webhooks_webhookdelivery AS delivery
  JOIN webhooks_webhookendpoint AS endpoint ON endpoint.id = delivery.endpoint_id
  WHERE delivery.state = 'waiting' AND delivery.next_at <= %(at)s
    AND (endpoint.open_until IS NULL OR endpoint.open_until <= %(at)s)
  ORDER BY delivery.next_at, delivery.id LIMIT 1 FOR UPDATE OF delivery SKIP LOCKED)
RETURNING id, fence
"""


@dataclass(frozen=True, slots=True)
class _Try:
    delivery: WebhookDelivery
    fence: int


def _claim(at: datetime) -> _Try | None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"at": at, "until": at + timedelta(seconds=_CLAIM_SECONDS)})
        row = cursor.fetchone()
    if row is None:
        return None
    delivery = WebhookDelivery.objects.select_related("event", "endpoint").get(pk=row[0])
    return _Try(delivery, row[1])


def deliver_due(*, most: int = 200) -> int:
    """Try what is due, one after the other. Returns how many were tried."""
    tried = 0
    while tried < most and (one := _claim(now())) is not None:
        _record(one, _post(one.delivery), chance=random.random())  # noqa: S311  # jitter
        tried += 1
    return tried


def _post(delivery: WebhookDelivery) -> Answer:
    if not delivery.endpoint.active:
        return Answer(None, "endpoint_off")
    body = orjson.dumps(delivery.event.payload)
    at = now()
    headers = headers_signed(
        keys=_keys(delivery.endpoint, at),
        message_id=delivery.event.message_id,
        timestamp=int(at.timestamp()),
        body=body,
    )
    return webhook_post(delivery.endpoint.url, body=body, headers=headers, inside=settings.WEBHOOK_INSIDE_HOSTS)


def _record(one: _Try, answer: Answer, *, chance: float) -> None:
    """Write down what came of a try, unless somebody else holds the delivery by now."""
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=one.delivery.endpoint_id)
        delivery = WebhookDelivery.objects.select_for_update().filter(pk=one.delivery.pk, fence=one.fence).first()
        if delivery is None or delivery.state != State.WAITING:
            return
        at = now()
        delivery.attempts += 1
        delivery.status, delivery.error = answer.status, answer.error
        if answer.taken:
            delivery.state, delivery.finished_at = State.DELIVERED, at
        elif not endpoint.active:
            delivery.state, delivery.finished_at = State.DROPPED, at
        elif (pause := pause_after(delivery.attempts, chance=chance)) is None:
            delivery.state, delivery.finished_at = State.FAILED, at
        else:
            delivery.next_at = at + pause
        delivery.save(update_fields=["attempts", "status", "error", "state", "next_at", "finished_at"])
        _endpoint_judge(endpoint, answer, at)


def _endpoint_judge(endpoint: WebhookEndpoint, answer: Answer, at: datetime) -> None:
    if answer.taken:
        if endpoint.failures:
            endpoint.failures, endpoint.open_until = 0, None
            endpoint.save(update_fields=["failures", "open_until"])
        return
    endpoint.failures += 1
    pause = breaker_pause(endpoint.failures)
    endpoint.open_until = None if pause is None else at + pause
    if answer.status == 410 and endpoint.active:  # RFC 9110, 15.5.11: gone, and likely for good
        endpoint.active, endpoint.disabled_because = False, "It answered 410 Gone: nobody is there any more."
        _drop(endpoint)
        audit_record(action="webhooks.endpoint.disabled", actor=None, subject=endpoint, data={"status": 410})
        logger.warning("webhook endpoint %s answered 410 and was switched off", endpoint.pk)
    endpoint.save(update_fields=["failures", "open_until", "active", "disabled_because"])


def events_forget(before: datetime, limit: int) -> int:
    """Delete news from before a moment that nobody waits for any more, at most `limit`. Returns how many."""
    old = WebhookEvent.objects.filter(created_at__lt=before).exclude(deliveries__state=State.WAITING)
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:limit])
    return WebhookEvent.objects.filter(pk__in=ids).delete()[1].get(WebhookEvent._meta.label, 0)
