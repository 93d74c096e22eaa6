"""Asking for decisions: the hot endpoint, without DRF. An answer in time, whatever is away.

What is asked while others are being decided about is decided with them, by the thread of one (`core.gathering`).
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.decisioning.decisions.asking import (
    MOST,
    AnswerGiven,
    Confirm,
    TooLate,
    Wish,
    decisions_make,
    generic_answer,
    is_shared,
    offers_warm,
    wishes_decide,
)
from apps.decisioning.decisions.generic import PULLED, offers_for, offers_remembered, pinned
from apps.foundation.accounts.api_keys import key_confirm, key_remembered, request_key
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.caches import caches_tell
from apps.foundation.core.gathering import GatheredLate, Gathering
from apps.foundation.core.timely import Late, timely
from apps.surfaces.api.access import Quota, caller_require, quota_take, scope_require
from apps.surfaces.api.bodies import body_read
from apps.surfaces.api.problems import Problem, fault_log, pointer, problem_answer, problem_of
from apps.surfaces.api.schema import operation_declare

logger = logging.getLogger(__name__)

SCOPE: Final = "decisions:make"
_SHARE: Final = 0.8
"""Of the time that an answer may take, what deciding may: the rest is for saying something else instead."""
_KEYS: Final = frozenset({"placements", "playbook", "profiles", "language"})
_LONGEST: Final = 65_536
_LONGEST_NAME: Final = 60
_WARM_SECONDS: Final = 3.0


@csrf_exempt
def decisions_ask(request: HttpRequest) -> HttpResponse:
    """Answer a request for decisions within `ANSWER_SECONDS`.

    Reading and keeping have less than that (`timely`). When it is late, or something is away, a place gets what
    everybody may see, from this process's memory; what is asked of a playbook gets a 503.
    """
    deadline = monotonic() + settings.ANSWER_SECONDS * _SHARE
    try:
        try:
            return _decided(request, deadline)
        except (Late, GatheredLate, TooLate, OperationalError, InterfaceError) as error:
            return _generic(request, error)
    except Exception as error:  # noqa: BLE001  # each becomes a problem; our own faults are logged
        problem = problem_of(error)
        fault_log(request, error, problem)
        return problem_answer(problem)


decisions_ask.scopes = {"post": SCOPE}  # type: ignore[attr-defined]  # for the matrix of permissions


def _decided(request: HttpRequest, deadline: float) -> HttpResponse:
    """What is decided: by a client that this process knows together with others, else alone."""
    given = request_key(request)
    remembered = key_remembered(given[0]) if given is not None and not given[1] else None
    if given is None or remembered is None:
        with timely(deadline):
            caller = caller_require(request)
            wish, quota = _asked(request, caller, deadline, None)
            answers = decisions_make(wish)
        return _said(answers, quota)
    confirm = partial(_confirm, request, given[0], remembered)
    wish, quota = _asked(request, remembered, deadline, confirm)
    if is_shared(wish):
        with suppress(_Alone):
            return _said(_shared.done(wish, deadline=deadline, weight=wish.size), quota)
    with timely(deadline):
        answers = decisions_make(wish)
    return _said(answers, quota)


def _confirm(request: HttpRequest, key: str, remembered: Caller, stamps: Mapping[str, str]) -> None:
    """Whom the memory knew by this key is still who asks, and still may. Raises Problem."""
    if key_confirm(key, stamps) is not remembered:
        scope_require(caller_require(request), SCOPE)


class _Alone(Exception):
    """What went wrong with some together may be the fault of one: each is decided alone."""


def _together(wishes: Sequence[Wish], deadline: float) -> list[list[AnswerGiven] | Exception]:
    """Decide what several ask for at the same moment. Raises _Alone."""
    try:
        with timely(deadline, weight=len(wishes)):
            return wishes_decide(wishes)
    except (Late, OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(wishes) == 1:
            raise
        logger.warning("%s wishes are decided one by one: %s", len(wishes), type(error).__name__)
        raise _Alone from error


_shared: Final = Gathering[Wish, list[AnswerGiven]](_together)


def _asked(request: HttpRequest, caller: Caller, deadline: float, confirm: Confirm | None) -> tuple[Wish, Quota]:
    """What a client asks for, counted. Raises Problem."""
    scope_require(caller, SCOPE)
    wish = _wish_read(request, client=caller.code, deadline=deadline, confirm=confirm)
    return wish, quota_take(caller, SCOPE, weight=wish.size)


def _said(answers: list[AnswerGiven], quota: Quota) -> HttpResponse:
    response = _response(answers)
    for name, value in quota.headers().items():
        response[name] = value
    caches_tell()
    return response


def answers_warm() -> None:
    """Make a process ready before it takes requests: connect, and read what is published. The database away: later."""
    try:
        with timely(monotonic() + _WARM_SECONDS):
            offers_warm()
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one version, pages are served
        logger.warning("what is published is not read yet: %s", type(error).__name__)


def _generic(request: HttpRequest, error: Exception) -> HttpResponse:
    """The generic answer: no decision. For clients that this process has seen before, and places alone."""
    away = Problem(503, "away", "Something we need is away: try again", headers={"Retry-After": "5"})
    given = request_key(request)
    caller: Caller | None = key_remembered(given[0]) if given is not None else None
    if caller is None:
        raise away from error
    scope_require(caller, SCOPE)
    wish = _wish_read(request)
    if not wish.placements:
        raise away from error
    offers = [one for one in offers_remembered() if pinned(one.version_id).spec["channel"] in PULLED]
    people: Sequence[int | None] = wish.profiles or (None,)
    answers = []
    for placement in wish.placements:
        found = offers_for(offers, placement=placement)
        if not found:
            raise away from error
        answers += [generic_answer(found[0], wish, placement, one) for one in people]
    if not isinstance(error, Late):  # while nobody is let to the database, whoever tries it says so
        logger.warning("%s generic answers: %s", len(answers), type(error).__name__)
    return _response(answers)


def _response(answers: list[AnswerGiven]) -> HttpResponse:
    shown = [
        {
            "placement": one.placement,
            "playbook": one.playbook,
            "profile": one.profile,
            "id": one.id or None,
            "generic": not one.id,
            "outcome": one.outcome,
            "tier": one.tier,
            "language": one.language,
            "ttl": one.ttl,
            "slots": one.slots,
        }
        for one in answers
    ]
    return HttpResponse(orjson.dumps({"answers": shown}), content_type="application/json")


def _wish_read(
    request: HttpRequest, *, client: str = "", deadline: float | None = None, confirm: Confirm | None = None
) -> Wish:
    """What is asked for. Raises Problem."""
    if request.content_type != "application/json":
        raise Problem(415, "media_type", "Send JSON: Content-Type: application/json")
    body = request.body
    if len(body) > _LONGEST:
        raise Problem(413, "body_too_large", "Send less at once: the documentation says how much")
    data = body_read(body)
    if not isinstance(data, dict):
        raise Problem(422, "content_wrong", "The body is an object")
    wrong: list[dict[str, str]] = []

    def refuse(name: str, detail: str) -> None:
        wrong.append({"pointer": pointer(name), "code": "invalid", "detail": detail})

    for name in data.keys() - _KEYS:
        refuse(name, "There is no such field")
    placements, playbook = data.get("placements", []), data.get("playbook", "")
    profiles, language = data.get("profiles", []), data.get("language", "")
    if not _names(placements):
        refuse("placements", "A list of names of places, each once")
    if not isinstance(playbook, str) or len(playbook) > _LONGEST_NAME or bool(playbook) == bool(placements):
        refuse("playbook", "Name places, or a playbook by its code: one of the two")
    if not isinstance(profiles, list) or len(profiles) > MOST or not all(map(_is_id, profiles)):
        refuse("profiles", f"A list of ids of people, at most {MOST}")
    elif len(set(profiles)) < len(profiles):
        refuse("profiles", "Each person once")
    elif playbook and not profiles:
        refuse("profiles", "Say for whom: a playbook is asked for somebody")
    if not isinstance(language, str) or len(language) > 35:
        refuse("language", "A language tag, such as de-AT")
    if wrong:
        raise Problem(422, "content_wrong", "Something in the body is wrong", more={"errors": wrong})
    return Wish(tuple(placements), playbook, tuple(profiles), language, client, deadline, confirm)


def _names(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MOST or len(set(map(str, value))) < len(value):
        return False
    return all(isinstance(one, str) and 0 < len(one) <= _LONGEST_NAME for one in value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "placement": {"type": "string"},
        "playbook": {"type": "string", "description": "code of the playbook that answered"},
        "profile": {"type": ["integer", "null"]},
        "id": {"type": ["string", "null"], "description": "of the decision; null where nothing was decided"},
        "generic": {"type": "boolean", "description": "nothing was decided: everybody is shown this"},
        "outcome": {"type": "string", "description": "send, or why nothing is meant for them: holdout, no_consent …"},
        "tier": {"type": "string", "description": "the tier that answered"},
        "language": {"type": "string"},
        "ttl": {"type": "integer", "description": "seconds for which it may be shown"},
        "slots": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "slot": {"type": "string"},
                    "tier": {"type": "string"},
                    "fields": {"type": "object", "description": "what the block says, by field"},
                    "links": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                        "description": "by field of the kind link: leads where the field says, and tells that it was"
                        " followed: show it in its place. Only where the person agreed to be followed on this channel",
                    },
                    "items": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "sku": {"type": "string"},
                                "title": {"type": "string"},
                                "url": {"type": "string"},
                                "link": {
                                    "type": "string",
                                    "description": "leads to `url`, and tells that it was followed: show it in its"
                                    " place. Only where the person agreed to be followed on this channel",
                                },
                            },
                        },
                    },
                    "made_by_model": {
                        "type": "object",
                        "description": "labels that must be shown: a model chose (`chosen`) or wrote (`written`) it",
                    },
                },
            },
        },
    },
}
operation_declare(
    "/api/v1/decisions",
    "post",
    scope=SCOPE,
    operation={
        "operationId": "decisions_make",
        "tags": ["decisions"],
        "summary": "Decide what people are shown",
        "description": (
            "By places, or by one playbook, for up to 100 people: places times people are 100 at most. The whole answer"
            " comes within 200 ms; what can't be decided by then is the generic one (`generic`), without an id."
            " Where the outcome is no `send`, e-mail and SMS show nothing, and nothing may be sent."
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "placements": {"type": "array", "items": {"type": "string"}},
                            "playbook": {"type": "string", "description": "its code, in place of placements"},
                            "profiles": {"type": "array", "items": {"type": "integer"}},
                            "language": {"type": "string", "description": "of somebody unknown"},
                        },
                        "additionalProperties": False,
                    },
                    "example": {"placements": ["home-hero"], "profiles": [17850]},
                }
            },
        },
        "responses": {
            "200": {
                "description": "Answers, in the order of places, then of people",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {"answers": {"type": "array", "items": _ANSWER}},
                        }
                    }
                },
            }
        },
    },
)
