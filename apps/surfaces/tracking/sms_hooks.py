"""What Twilio tells of SMS: what came of one, and what people answer. Nothing is taken before its signature holds."""

import logging
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.data.consent.models import Channel, ConsentRecord, Suppression
from apps.data.consent.services import consent_withdraw_all, suppression_add
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.normalize import phone_normalize
from apps.delivery.channels.twilio import Account, report_read, signature_is_right, wants_no_more
from apps.delivery.sending.contracts import Report
from apps.delivery.sending.evidence import messages_settle
from apps.delivery.sending.reports import reports_take
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

logger = logging.getLogger(__name__)

LIMIT: Final = 64 * 1024
_UNDER_WAY: Final = frozenset({"queued", "accepted", "scheduled", "sending", "sent"})


@csrf_exempt
@require_POST
def sms_status(request: HttpRequest, provider: str, message_id: UUID) -> HttpResponse:
    """What came of one message. That Twilio has it settles one of which nobody knew."""
    form = _signed_form(request, provider)
    if isinstance(form, HttpResponse):
        return form
    said = report_read(form)
    if said.kind:
        reports_take(
            [
                Report(
                    message_id=message_id,
                    kind=said.kind,
                    occurred_at=now(),
                    source=f"twilio:{said.name}",
                    bounce=said.bounce,
                    code=said.code,
                    recipient=said.recipient,
                )
            ]
        )
    elif said.status in _UNDER_WAY:
        messages_settle(taken=[(message_id, said.recipient)])
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
def sms_reply(request: HttpRequest, provider: str) -> HttpResponse:
    """What somebody answered. STOP and its like withdraw all that the number's people agreed to by SMS."""
    form = _signed_form(request, provider)
    if isinstance(form, HttpResponse):
        return form
    if wants_no_more(form):
        try:
            number = phone_normalize((form.get("From") or [""])[0])
        except Invalid:
            logger.warning("an opt-out by SMS came from what is no number")
        else:
            number_opts_out(number)
    # Twilio itself answers STOP, HELP and START; nothing is to be answered by us
    return HttpResponse("<Response/>", content_type="text/xml")


def number_opts_out(number: str) -> None:
    """Withdraw all of SMS for everybody who is known by a number (E.164). Twice changes nothing.

    A number that nobody has is suppressed, since it is somebody's who was written to.
    """
    holders = holders_of(kind="phone", value=number)
    for profile_id in sorted(holders):
        consent_withdraw_all(
            profile_id=profile_id, channel=Channel.SMS, method=ConsentRecord.Method.REPLY, source="reply to an SMS"
        )
    if not holders:
        suppression_add(kind="phone", value=number, reason=Suppression.Reason.OPT_OUT, note="reply to an SMS")


def _signed_form(request: HttpRequest, provider: str) -> Mapping[str, list[str]] | HttpResponse:
    """What was posted, once it is known that Twilio did; else the answer that refuses it."""
    options = dict(settings.SMS_PROVIDERS).get(provider)
    if options is None or "url" in options:
        return JsonResponse({"error": "No such provider is set up here"}, status=404)
    if int(request.headers.get("Content-Length") or 0) > LIMIT:
        return JsonResponse({"error": "The body is too large"}, status=413)
    form = {name: [str(value) for value in values] for name, values in request.POST.lists()}
    url = settings.BASE_URL.rstrip("/") + request.get_full_path()
    signature = request.headers.get("X-Twilio-Signature", "")
    if not signature_is_right(Account.of(options), url=url, form=form, signature=signature):
        return JsonResponse({"error": "Not accepted: the signature is wrong"}, status=403)
    return form
