"""What mail providers report by webhook.

Answers as their retries need them: 204 for what was taken (also before), 4xx for what will never be, and 500 for a
failure of ours, so that it comes again.
"""

import logging
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.delivery.channels.provider_reports import (
    PROVIDERS,
    BadReport,
    ProviderReport,
    body_read,
    reports_read,
    secret_check,
    sendgrid_check,
    sns_check,
    sns_confirm,
    sns_event,
)
from apps.delivery.sending.contracts import Report
from apps.delivery.sending.reports import reports_take
from apps.foundation.core.clock import now

logger = logging.getLogger(__name__)

LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a body: a thousand events have less than one million."""


@csrf_exempt
@require_POST
def mail_hook(request: HttpRequest, provider: str) -> HttpResponse:
    """One message of a provider. Nothing of it is taken before it is known that the provider speaks."""
    secret = settings.MAIL_HOOKS.get(provider) if provider in PROVIDERS else None
    if not secret:
        return _refused(404, "No such provider is set up here")
    body = request.read(LIMIT + 1)
    if len(body) > LIMIT:
        return _refused(413, "The body is too large")
    try:
        reports = _read(request, provider, secret, body)
    except BadReport as error:
        if provider in ("postmark", "mailjet") and "Authorization" not in request.headers:
            answer = _refused(401, "Give the secret")
            answer["WWW-Authenticate"] = 'Basic realm="webhook"'
            return answer
        return _refused(400, f"Not accepted: {error}")
    reports_take([_report(one) for one in reports if one.kind and one.message_id is not None])
    return HttpResponse(status=204)


def _read(request: HttpRequest, provider: str, secret: str, body: bytes) -> list[ProviderReport]:
    """What a provider says, once it is known to be it. Raises BadReport; OSError when Amazon can't be asked."""
    if provider == "ses":
        said = sns_check(body, topics=secret.split("|"))
        if said["Type"] == "SubscriptionConfirmation":
            sns_confirm(said)
            logger.info("a subscription to a topic of Amazon SNS was confirmed")
        event = sns_event(said) if said["Type"] == "Notification" else None
        return [] if event is None else reports_read(provider, event)
    if provider == "sendgrid":
        sendgrid_check(body, request.headers, key=secret, at=now())
    else:
        secret_check(request.headers, secret=secret)
    return reports_read(provider, body_read(body))


def _report(one: ProviderReport) -> Report:
    assert one.message_id is not None  # noqa: S101  # the caller looked
    return Report(
        message_id=one.message_id,
        kind=one.kind,
        occurred_at=one.occurred_at,
        source=one.name,
        bounce=one.bounce,
        reason=one.reason,
        code=one.code,
        response=one.response,
        recipient=one.recipient,
        raw=one.raw,
    )


def _refused(status: int, why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=status)
