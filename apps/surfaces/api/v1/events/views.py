"""Events, in the API's own form and as Segment's libraries send them. Without DRF: thousands come in a second.

Whatever is answered with 200 or 202 is in the stream for good (`apps.data.events`). What is sent again is told by its
id, not by an Idempotency-Key.
"""

import zlib
from typing import Any, Final

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.data.events.accepting import Accepted, body_accept
from apps.data.events.errors import TooLarge
from apps.data.events.sources import SCOPE, source_of
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.errors import Invalid
from apps.surfaces.api.access import Counting
from apps.surfaces.api.problems import Problem, problem_body
from apps.surfaces.api.slim import slim

SEGMENT_CALLS: Final = ("track", "identify", "page", "screen", "group", "alias", "batch", "import")
_SUCCESS: Final = b'{"success": true}'
_TAKEN: Final = {"status": 202}


@slim(scope=SCOPE)
def events_take(request: HttpRequest, caller: Caller, counting: Counting) -> HttpResponse:
    """One event, or several as `{"events": […]}`: those that are good are taken, the others told."""
    if (request.content_type or "").lower() != "application/json":
        raise Problem(415, "media_type_wrong", "Send the body as application/json")
    taken = body_accept(source=source_of(caller), shape="own", body=body_of(request), holds=counting.holds)
    return HttpResponse(_results(taken), status=202, content_type="application/json")


def _write_key(request: HttpRequest) -> str:
    """The key in a body: Segment's newer libraries send it there and nowhere else."""
    try:
        told = orjson.loads(body_of(request))
    except ValueError:
        return ""
    key = told.get("writeKey") if isinstance(told, dict) else None
    return key if isinstance(key, str) else ""


@slim(scope=SCOPE, write_key=_write_key)
def segment_take(request: HttpRequest, caller: Caller, counting: Counting, call: str) -> HttpResponse:
    """What Segment's libraries send, answered as Segment does."""
    kind = "" if call in ("batch", "import") else call
    try:
        body, source = body_of(request), source_of(caller)
        body_accept(source=source, shape="segment", kind=kind, body=body, holds=counting.holds)
    except Invalid as error:  # 400 as Segment has it: its libraries send again what gets another answer
        raise Problem(400, error.code, error.message, more={"errors": error.extra.get("problems", [])}) from None
    return HttpResponse(_SUCCESS, content_type="application/json")


def body_of(request: HttpRequest) -> bytes:
    """A request's body, unpacked. Raises Problem (400, 415), TooLarge (also for what unpacks to more than is taken)."""
    packing = request.headers.get("Content-Encoding", "").strip().lower()
    if packing in ("", "identity"):
        return request.body
    if packing not in ("gzip", "x-gzip"):
        raise Problem(415, "encoding_unknown", "Send the body plain, or packed with gzip")
    most = settings.EVENT_BODY_LIMIT
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = unpacking.decompress(request.body, most + 1)
    except zlib.error:
        raise Problem(400, "gzip_wrong", "The body can't be unpacked: it is no gzip") from None
    if len(body) > most:
        raise TooLarge("body_too_large", f"Send at most {most:,} bytes at once, unpacked")
    if not unpacking.eof:
        raise Problem(400, "gzip_wrong", "The body can't be unpacked: it is cut short")
    return body


def _results(taken: Accepted) -> bytes:
    """What came of each event, in the form of all bulk requests."""
    total = taken.events + len(taken.refused)
    results: list[dict[str, Any]] = [{"index": number, **_TAKEN} for number in range(total)]
    for number, problems in taken.refused.items():
        problem = Problem(422, "event_invalid", "It was not taken: each error says where", more={"errors": problems})
        results[number] = {"index": number, "status": 422, "problem": problem_body(problem)}
    return orjson.dumps({"results": results, "done": taken.events, "failed": len(taken.refused)})
