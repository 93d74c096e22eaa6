"""The addresses behind a message's links: to where each leads, at once, and the picture that tells of an open.

Where a link leads is stored with its message, never in the address. Whatever fails, the answer becomes worse, not none:
a link of the template itself is known from memory or from Redis without the database; the link of an item becomes its
brand's shop; and what was seen is written down later, or not at all. No cookie, no session, nothing is looked up of the
visitor.
"""

import logging
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from functools import lru_cache
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

import redis
from django.core.cache import cache
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.rendering import destination_of
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.content.traces import ITEMS
from apps.decisioning.decisions.models import Answer, Decision
from apps.decisioning.decisions.sealing import ANSWERS, decisions_open
from apps.decisioning.decisions.traces import Shown, answer_leads, answer_shown, answer_trace_read
from apps.delivery.channels.breaker import Breaker
from apps.delivery.sending.traces import trace_read
from apps.foundation.core.errors import NotFound
from apps.foundation.core.signing import BadToken

from .rules import machine_of
from .services import seen_write
from .stream import seen_put

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE: Final = 1.0
"""Seconds that a visitor waits for the database, at most."""
_KEPT: Final = 86_400
_PIXEL: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}

_asking = ThreadPoolExecutor(max_workers=8, thread_name_prefix="tracking")
"""Asks the database for visitors, so that none waits longer than PATIENCE, however long the database hangs."""
_database = Breaker(first=1.0, most=5.0)
_stream = Breaker(first=1.0, most=5.0)


@require_safe
def follow(request: HttpRequest, token: str, number: int) -> HttpResponse:
    """A link of a message: 302 to where it leads. A HEAD, and a browser that fetches ahead, are not counted."""
    return _follow(request, token, number, trace_read, _leads)


@require_safe
def follow_answer(request: HttpRequest, token: str, number: int) -> HttpResponse:
    """A link in an answer of the API, of an item or of a block: as those of messages."""
    return _follow(request, token, number, answer_trace_read, _answer_leads)


def _follow(
    request: HttpRequest,
    token: str,
    number: int,
    read: Callable[[str], tuple[UUID, int]],
    leads: Callable[[UUID, CompiledSources, int], str],
) -> HttpResponse:
    try:
        message_id, compiled_id = read(token)
        compiled = _compiled(compiled_id)
        where = None if compiled is None else leads(message_id, compiled, number)
    except (BadToken, LookupError, NotFound):
        return _page(request, "tracking/no_link.html", 404)
    _note(request, message_id, "clicked", number)
    if where is None:
        return _page(request, "tracking/later.html", 503)
    return HttpResponse(status=302, headers={"Location": where, **_HEADERS})


@require_safe
def opened(request: HttpRequest, token: str) -> HttpResponse:
    """The picture of a message, of one pixel; also where the token is damaged, so that no mail shows a broken one."""
    status = 200
    try:
        message_id, _ = trace_read(token)
    except BadToken:
        status = 404
    else:
        _note(request, message_id, "opened", None)
    return HttpResponse(_PIXEL, content_type="image/gif", headers=_HEADERS, status=status)


def _page(request: HttpRequest, template: str, status: int) -> HttpResponse:
    with translation.override(translation.get_language_from_request(request)):
        response = render(request, template, status=status)
        response["Content-Language"] = translation.get_language()
    for name, value in _HEADERS.items():
        response[name] = value
    if status == 503:
        response["Retry-After"] = "10"
    return response


# --- where a link leads ---


def _leads(message_id: UUID, compiled: CompiledSources, number: int) -> str:
    """Where a link of a message leads; its brand's shop where that can't be known now. Raises LookupError."""
    if number < ITEMS:
        return destination_of(compiled, {}, number)
    slots = _asked(lambda: _slots_of(message_id))
    return compiled.shop_url if slots is None else destination_of(compiled, slots, number)


def _answer_leads(answer_id: UUID, compiled: CompiledSources, number: int) -> str:
    """The same of a link of an answer."""
    if number < ITEMS:
        raise LookupError(number)
    shown = _asked(lambda: _shown_by(answer_id))
    return compiled.shop_url if shown is None else answer_leads(shown, compiled, number).url


@lru_cache(maxsize=512)
def _kept(compiled_id: int) -> CompiledSources:
    """From this process's memory, else from Redis. Raises LookupError: it is not remembered that it is nowhere."""
    try:
        found = cache.get(f"tracking:compiled:{compiled_id}")
    except redis.RedisError:
        found = None
    if not isinstance(found, CompiledSources):
        raise LookupError(compiled_id)
    return found


def _compiled(compiled_id: int) -> CompiledSources | None:
    """The compiled template of a message; None when nobody can be asked. Raises NotFound."""
    try:
        return _kept(compiled_id)
    except LookupError:
        pass
    found = _asked(lambda: compiled_load(compiled_id))
    if found is not None:
        try:
            cache.set(f"tracking:compiled:{compiled_id}", found, _KEPT)
        except redis.RedisError:
            logger.info("a compiled template is not kept in Redis now")
    return found


def _slots_of(message_id: UUID) -> dict[str, object] | None:
    """The slots of a message as they were decided; None of somebody who was erased."""
    kept = decisions_open(Decision.objects.filter(pk=message_id)).get(message_id)
    return None if kept is None else dict(kept.inputs.get("slots") or {})


def _shown_by(answer_id: UUID) -> Shown | None:
    """What an answer showed; None of somebody who was erased, and of one that is not kept any more."""
    answer = Answer.objects.filter(pk=answer_id).first()
    kept = None if answer is None else decisions_open([answer], table=ANSWERS).get(answer_id)
    return None if answer is None or kept is None else answer_shown(answer.version_id, kept.inputs)


def _asked(question: Callable[[], T]) -> T | None:
    """The database's answer, or None when there is none within PATIENCE. Raises NotFound."""
    if not _database.allows(monotonic()):
        return None
    try:
        answer = _ask(question).result(timeout=PATIENCE)
    except NotFound:
        raise
    except Late:
        _database.failed(monotonic())
        logger.warning("the database does not answer in time; links lead to their brand's shop")
        return None
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one part, a visitor gets an answer
        _database.failed(monotonic())
        logger.error("where a link leads can't be read: %s", type(error).__name__)
        return None
    _database.worked()
    return answer


def _ask(question: Callable[[], T]) -> "Future[T]":
    def asked() -> T:
        close_old_connections()
        try:
            return question()
        finally:
            close_old_connections()

    return _asking.submit(asked)


# --- that it was seen ---


def _note(request: HttpRequest, message_id: UUID, kind: str, link: int | None) -> None:
    """Put down that something was seen, unless nobody looked or the browser asks that nothing be (Sec-GPC)."""
    ahead = "prefetch" in (request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or "")
    if request.method == "HEAD" or ahead or request.headers.get("Sec-GPC") == "1":
        return
    machine = machine_of(request.headers.get("User-Agent", ""), opened=kind == "opened")
    if _stream.allows(monotonic()):
        try:
            seen_put(message_id=message_id, kind=kind, link=link, machine=machine)
        except redis.RedisError:
            _stream.failed(monotonic())
        else:
            _stream.worked()
            return
    if _database.allows(monotonic()):
        _ask(lambda: seen_write(message_id=message_id, kind=kind, link=link, machine=machine))
