"""What shops and help desks tell by webhook. Nothing of a body is read before its signature holds.

Answers as their retries need them: 204 for what was taken, also where it was set aside (it is kept, and coming again it
would be set aside again); 4xx for what will never be; 503 while staff have the system stopped, so that it comes again.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.data.inbound.services import body_take
from apps.data.inbound.signatures import signature_is_right
from apps.delivery.channels.standard_webhooks import BadSignature, secret_key, webhook_verify
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict

LIMIT: Final = 2 * 1024 * 1024
_TOPIC: Final = {"shopify": "X-Shopify-Topic", "woocommerce": "X-WC-Webhook-Topic"}


@csrf_exempt
@require_POST
def inbound_hook(request: HttpRequest, code: str) -> HttpResponse:
    """One message of a system of INBOUND_SYSTEMS that tells by itself."""
    terms = settings.INBOUND_SYSTEMS.get(code)
    if terms is None or "secret" not in terms:
        return _refused(404, "No such system is set up here")
    body = request.read(LIMIT + 1)
    if len(body) > LIMIT:
        return _refused(413, "The body is too large")
    if terms["kind"] == "woocommerce" and body.startswith(b"webhook_id="):
        return HttpResponse(status=204)  # its ping, unsigned, when the webhook is made: it says nothing
    if not _is_theirs(terms, request, body):
        return _refused(401, "Not accepted: the signature is wrong")
    try:
        body_take(code=code, topic=request.headers.get(_TOPIC.get(terms["kind"], ""), "")[:80], body=body)
    except Conflict as error:
        answer = _refused(503, error.message)
        answer["Retry-After"] = "300"
        return answer
    return HttpResponse(status=204)


def _is_theirs(terms: Mapping[str, Any], request: HttpRequest, body: bytes) -> bool:
    at = now()
    if terms["kind"] == "webhook":
        try:
            webhook_verify(keys=[secret_key(terms["secret"])], headers=request.headers, body=body, at=at.timestamp())
        except BadSignature:
            return False
        return True
    return signature_is_right(terms["kind"], secret=terms["secret"], headers=request.headers, body=body, at=at)


def _refused(status: int, why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=status)
