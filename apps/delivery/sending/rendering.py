"""A person's message as bytes: at send, and again later, the same.

Everything that the bytes depend on is stored: the decision's inputs and compiled template, and in the message its
date, the key that signed its links, whether they are followed, and by which digest the person's address is found.
Nothing else is looked at.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.data.consent.links import links_elsewhere, links_named
from apps.data.consent.models import Channel
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.profiles.addresses import address_by_digest
from apps.data.profiles.mail import mail_is_elsewhere
from apps.data.profiles.vault import Tampered
from apps.decisioning.content.contracts import LINKS
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.rendering import render, system_links
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.content.short_messages import push_picture
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import decisions_open
from apps.delivery.channels.mime import Letter, letter_dotted
from apps.delivery.channels.push import push_bytes
from apps.delivery.channels.sms import sms_bytes
from apps.delivery.channels.web import web_bytes
from apps.foundation.core.errors import Conflict, NotFound, PermanentError
from apps.foundation.core.signing import signing_key_id

from .contracts import Claimed, LetterTerms, Made, Prepared
from .models import Dispatch, Message
from .traces import trace_url

logger = logging.getLogger(__name__)


def message_make(
    *,
    message_id: UUID,
    compiled_id: int | None,
    inputs: Mapping[str, Any],
    links: Mapping[str, str],
    terms: LetterTerms,
    address: str,
    dated_at: datetime,
    subject_prefix: str = "",
    trace: str = "",
    channel: str = Channel.EMAIL,
) -> Made:
    """A message out of what was decided: for customers, for dry runs and for tests alike. Nothing is written.

    links: by the names that templates have for them; trace: see `traces.py`, "" where nothing is followed.
    Raises RenderError, PermanentError (`invalid_address`; of an SMS and of push `too_long`).
    """
    if compiled_id is None:
        raise RenderError("no_template", "The decision names no template")
    rendered = render(compiled_load(compiled_id), {**inputs, "links": links, "trace": trace})
    if channel == Channel.SMS:
        return Made(rendered, sms_bytes(rendered.text, most=settings.SMS_SEGMENTS))
    if channel == Channel.PUSH:
        aside = [links[name] for name in ("unsubscribe", "preferences") if name in links]
        raw = push_bytes(
            title=rendered.subject,
            text=rendered.text,
            passed_over=aside,
            message_id=str(message_id),
            image=push_picture(rendered.html),
        )
        return Made(rendered, raw)
    if channel == Channel.WEB:
        return Made(rendered, web_bytes(title=rendered.subject, text=rendered.text, html=rendered.html))
    content, dots = letter_dotted(
        Letter(
            message_id=message_id,
            from_name=terms.from_name,
            from_email=terms.from_email,
            reply_to=terms.reply_to,
            to=address,
            subject=subject_prefix + rendered.subject,
            text=rendered.text,
            html=rendered.html_pieces,
            dated_at=dated_at,
            unsubscribe_url=links["unsubscribe"] if terms.list_label else "",
            list_label=terms.list_label,
        )
    )
    return Made(rendered, content, dots)


def _made(
    *,
    message_id: UUID,
    profile_id: int,
    compiled_id: int | None,
    inputs: Mapping[str, Any],
    dispatch: Dispatch,
    address: str,
    key_id: str,
    dated_at: datetime,
    tracked: bool,
) -> Made:
    """The message. Raises as `message_make`, and BadToken when the key is gone."""
    links = links_named(
        LINKS if compiled_id is None else (*LINKS, *system_links(compiled_load(compiled_id))),
        profile_id=profile_id,
        message_id=message_id,
        key_id=key_id,
    )
    return message_make(
        message_id=message_id,
        compiled_id=compiled_id,
        inputs=inputs,
        links=links_elsewhere(links) if mail_is_elsewhere(dispatch.mail_kind) else links,
        terms=LetterTerms(
            dispatch.from_name,
            dispatch.from_email,
            dispatch.reply_to,
            list_label=dispatch.purpose if dispatch.needs_consent else "",
        ),
        address=address,
        dated_at=dated_at,
        trace=trace_url(message_id=message_id, compiled_id=compiled_id, key_id=key_id)
        if tracked and compiled_id is not None
        else "",
        channel=dispatch.channel,
    )


def message_prepare(
    claimed: Claimed, dispatch: Dispatch, *, address: str, at: datetime, may_track: bool = True
) -> Prepared:
    """A claimed message as bytes. A second try has the date and the links of the first, so it is the same message.

    Opens and clicks are followed of whom it was so decided, and only if `may_track`. Raises as `_made`.
    """
    # whoever reads a mail that goes elsewhere may be a stranger, whom the person's consent does not cover
    may_track = may_track and not mail_is_elsewhere(dispatch.mail_kind)
    tracked = may_track and claimed.inputs.get("tracked") is True
    key_id = claimed.key_id or signing_key_id()
    dated_at = claimed.dated_at or at
    made = _made(
        message_id=claimed.id,
        profile_id=claimed.profile_id,
        compiled_id=claimed.compiled_id,
        inputs=claimed.inputs,
        dispatch=dispatch,
        address=address,
        key_id=key_id,
        dated_at=dated_at,
        tracked=tracked,
    )
    digest = hashlib.sha256(made.content).hexdigest()
    return Prepared(claimed, address, key_id, dated_at, made.content, digest, tracked, made.dots)


def messages_prepare(
    claimed: Sequence[Claimed], dispatches: Mapping[int, Dispatch], *, at: datetime
) -> tuple[list[Prepared], dict[UUID, str]]:
    """All that can be rendered, and the reason (`render_failed`, `invalid_address`, or its fault) of those that can't.

    Those without an address are left to the gate, which says what is wrong with them.
    """
    prepared: list[Prepared] = []
    faults: dict[UUID, str] = {}
    for one in claimed:
        if one.fault:
            faults[one.id] = one.fault
            continue
        try:
            # where an address is missing: the gate withholds it, and it is never handed over
            stand_in = "" if dispatches[one.dispatch_id].channel == Channel.WEB else "nobody@invalid"
            prepared.append(message_prepare(one, dispatches[one.dispatch_id], address=one.address or stand_in, at=at))
        except PermanentError as error:
            faults[one.id] = error.code
        except RenderError as error:
            logger.warning("message %s was not rendered: %s", one.id, error.code)
            faults[one.id] = "render_failed"
        except Exception as error:  # noqa: BLE001  # whatever one message does, the others go out; it is not sent
            logger.error("message %s was not rendered: %s", one.id, type(error).__name__)  # no trace: personal data
            faults[one.id] = "render_failed"
    return prepared, faults


def message_again(message_id: UUID) -> bytes:
    """The bytes of a message that was handed over, rendered again from what is stored.

    Its address is found among the person's by its digest.
    Raises NotFound without such a message; Conflict: `not_rendered` when it never had content, `erased` and `tampered`
    when its inputs can't be read, `address_gone` when the person no longer has the address, `not_the_same` when what
    comes out is not what was sent (then a version or something else that it was made of has changed).
    """
    message = Message.objects.select_related("dispatch").filter(pk=message_id).first()
    if message is None:
        raise NotFound("message_unknown", "There is no such message")
    if message.dated_at is None:
        raise Conflict("not_rendered", "This message was never made up, so there is nothing to show")
    content = _made(
        message_id=message.pk,
        profile_id=message.profile_id,
        compiled_id=message.compiled_id,
        inputs=_inputs_of(message.pk),
        dispatch=message.dispatch,
        address=_address_of(message),
        key_id=message.key_id,
        dated_at=message.dated_at,
        tracked=message.tracked,
    ).content
    if hashlib.sha256(content).hexdigest() != message.content_digest:
        raise Conflict("not_the_same", "What was sent can't be made again: something it was made of has changed")
    return content


def _inputs_of(message_id: UUID) -> Mapping[str, Any]:
    """What a message was rendered with. Raises Conflict."""
    try:
        found = decisions_open(Decision.objects.filter(pk=message_id))
    except Tampered:
        raise Conflict("tampered", "What it was made of does not open: it was changed in the database") from None
    if message_id not in found:
        raise Conflict("forgotten", "Its decision was kept long enough and deleted, and with it what this was made of")
    kept = found[message_id]
    if kept is None:
        raise Conflict("erased", "The person was erased, and with them what this message was made of")
    return kept.inputs


def _address_of(message: Message) -> str:
    """The address that a message went to. Raises Conflict."""
    if not ADDRESS_KIND.get(Channel(message.channel)):
        return ""
    address = address_by_digest(
        profile_id=message.profile_id,
        kind=ADDRESS_KIND.get(Channel(message.channel), ""),
        digest=bytes(message.address_digest or b""),
    )
    if address is None:
        raise Conflict(
            "address_gone", "It went to an address that this person no longer has, so it can't be made again"
        )
    return address
