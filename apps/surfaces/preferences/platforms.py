"""What consent platforms send: verified, and taken at once.

Answers as the sender's retries need them: 204 for what was taken (also before), 4xx for what will never be, and 500 for
a failure of ours, so that it comes again.
"""

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.data.consent.models import ConsentPlatform
from apps.data.consent.platforms import notice_take, platform_keys
from apps.delivery.channels.standard_webhooks import BadSignature, webhook_verify
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

LIMIT: Final = 128 * 1024
"""Bytes of a body. One person's choices have some thousand."""


@csrf_exempt
@require_POST
def platform_hook(request: HttpRequest, platform_id: UUID) -> HttpResponse:
    """One message of a platform (Standard Webhooks 1.0.0). Nothing of a body is read before its signature holds."""
    body = request.read(LIMIT + 1)
    if len(body) > LIMIT:
        return _refused(413, "The body is too large")
    platform = ConsentPlatform.objects.filter(pk=platform_id, active=True).first()
    at = now()
    try:
        keys = platform_keys(platform, at=at) if platform is not None else []
        message_id = webhook_verify(keys=keys, headers=request.headers, body=body, at=at.timestamp())
    except BadSignature as error:
        return _refused(401, f"Not accepted: {error}")
    if platform is None:  # no key, no signature
        return _refused(401, "Not accepted: no signature is right")
    try:
        notice_take(platform=platform, message_id=message_id, body=body)
    except Invalid as error:
        return _refused(400, error.message)
    return HttpResponse(status=204)


def _refused(status: int, why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=status)
