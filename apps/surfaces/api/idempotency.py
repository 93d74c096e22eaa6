"""`Idempotency-Key`: a request that makes something may be sent again, and makes it once.

What is made and its answer are one transaction, under an advisory lock of the key: so after a crash both are there or
neither, and of two at once the second is told to wait (409). The same key with another body is refused (422). What
failed has changed nothing and may be sent again with the same key.

Kept for a day of each client: digests of key and request, and the answer. Answers to such requests hold ids and no
personal data, and the key's digest alone is kept because people put addresses into keys.
"""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, cast

from django.conf import settings
from django.db import connection, transaction
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.clock import now

from .models import KeptAnswer
from .problems import Problem

HEADER: Final = "Idempotency-Key"
KEEP: Final = timedelta(hours=24)
_LONGEST: Final = 255
_HEADERS: Final = ("Location", "ETag")


def idempotency_key(request: Request) -> str:
    """The key that a request brings, "" for none. Raises Problem (400) for one that is none."""
    key = request.headers.get(HEADER, "").strip()
    if len(key) > _LONGEST or not (key.isascii() and (key.isprintable())):
        detail = f"{HEADER} is up to {_LONGEST} printable characters of ASCII"
        raise Problem(400, "idempotency_key_wrong", detail)
    return key


def answer_once(request: Request, caller: Caller, key: str, handler: Callable[[], Response]) -> Response:
    """What `handler` answers, or what it answered to the same request before. Raises Problem (409, 422)."""
    name = _digest(b"key", caller.client_id.bytes, key.encode())
    body = _digest(b"request", (request.method or "").encode(), request.get_full_path().encode(), _content(request))
    with transaction.atomic():
        if not _lock(name):
            detail = "A request with this key is being answered: wait for its answer, then send this again"
            raise Problem(409, "idempotency_key_in_use", detail, headers={"Retry-After": "1"})
        kept = KeptAnswer.objects.filter(client_id=caller.client_id, key_digest=name, at__gt=now() - KEEP).first()
        if kept is None:
            return _answer(caller, name, body, handler)
    if bytes(kept.request_digest) != body:
        detail = "This key came with another request before: every new request needs a new key"
        raise Problem(422, "idempotency_key_reused", detail)
    headers = {**kept.headers, "Idempotency-Replayed": "true"}
    return Response(kept.body, status=kept.status, headers=headers)


def _answer(caller: Caller, name: bytes, body: bytes, handler: Callable[[], Response]) -> Response:
    answer = handler()
    if answer.status_code < 300:
        KeptAnswer.objects.update_or_create(
            client_id=caller.client_id,
            key_digest=name,
            defaults={
                "request_digest": body,
                "status": answer.status_code,
                "body": answer.data,
                "headers": {header: answer[header] for header in _HEADERS if header in answer},
                "at": now(),
            },
        )
    return answer


def _content(request: Request) -> bytes:
    """What a request says. Of a form with files its parts: the bytes between them differ each time it is sent."""
    if not (request.content_type or "").startswith("multipart/"):
        return request._request.body
    fields = cast(QueryDict, request.data)
    names = sorted(set(fields) - set(request.FILES))
    said = [str(part).encode() for name in names for part in (name, *fields.getlist(name))]
    for name, file in sorted(request.FILES.items()):
        said += [name.encode(), (file.name or "").encode(), hashlib.file_digest(file, "sha256").digest()]
        file.seek(0)
    return _digest(b"parts", *said)


def _lock(name: bytes) -> bool:
    number = int.from_bytes(name[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _digest(*parts: bytes) -> bytes:
    said = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.digest(settings.SECRET_KEY.encode(), said, "sha256")


def answers_forget(before: datetime, limit: int) -> int:
    """Delete answers that were kept before a moment, at most `limit`. Returns how many."""
    old: Any = KeptAnswer.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:limit]
    return KeptAnswer.objects.filter(pk__in=list(old)).delete()[0]
