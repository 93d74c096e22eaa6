"""Bodies of consent platforms, read by mappings."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.data.consent.platform_bodies import PRESETS, body_read, mapping_problem
from apps.foundation.core.errors import Invalid

PURPOSES = ("marketing", "tracking")
CHANNELS = ("email", "sms", "push", "web")
PLAIN = PRESETS["plain"][1]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_mappings_to_begin_with_are_whole(preset: str) -> None:
    assert mapping_problem(PRESETS[preset][1], purposes=PURPOSES, channels=CHANNELS) == ""


@pytest.mark.parametrize(
    ("preset", "body", "kind", "value", "choices", "ignored"),
    [
        (
            "plain",
            {
                "email": " Carla@Example.COM",
                "occurred_at": "2026-11-22T12:00:00Z",
                "choices": {"newsletter": "Granted", "analytics": False, "other": True},
            },
            "email",
            "carla@example.com",
            (("marketing", "email", True), ("tracking", "email", False), ("tracking", "web", False)),
            1,
        ),
        (
            "onetrust",
            {
                "identifier": "carla@example.com",
                "receivedDate": "2026-11-22T13:00:00+01:00",
                "purposes": [
                    {"Id": "00000000-0000-0000-0000-000000000000", "TransactionType": "OPT_OUT"},
                    {"Id": "00000000-0000-0000-0000-000000000000", "TransactionType": "CHANGED_SOMEHOW"},
                ],
            },
            "email",
            "carla@example.com",
            (("marketing", "email", False),),
            1,
        ),
        (
            "usercentrics",
            {
                "controllerId": 17850,
                "updatedAt": 1795348800000,
                "consents": [{"templateId": "HkocEodjb7", "status": True}, {"templateId": "HkocEodjb7", "status": 1}],
            },
            "external_id",
            "shop:17850",
            (("tracking", "web", True),),
            1,
        ),
    ],
)
def test_a_body_says_who_chose_what_and_when(
    preset: str, body: Any, kind: str, value: str, choices: Any, ignored: int
) -> None:
    said = body_read(PRESETS[preset][1], body)

    assert (said.kind, said.value, said.choices, said.ignored) == (kind, value, choices, ignored)
    assert said.occurred_at == NOON


@pytest.mark.parametrize(
    "broken",
    [
        {"email": None},
        {"email": "not an address"},
        {"occurred_at": None},
        {"occurred_at": "2026-11-22T12:00:00"},
        {"occurred_at": True},
        {"choices": None},
        {"choices": []},
        {"choices": {str(number): True for number in range(201)}},
    ],
)
def test_a_body_that_says_less_is_refused(broken: dict[str, Any]) -> None:
    body = {"email": "carla@example.com", "occurred_at": "2026-11-22T12:00:00Z", "choices": {"newsletter": True}}

    with pytest.raises(Invalid):
        body_read(PLAIN, {**body, **broken})


@pytest.mark.parametrize("body", [None, [], 5, "text", {"email": {"x": 1}}])
def test_a_body_of_another_shape_is_refused(body: Any) -> None:
    with pytest.raises(Invalid):
        body_read(PLAIN, body)


@pytest.mark.parametrize(
    "change",
    [
        {"person": []},
        {"person": [{"at": "x", "kind": "name"}]},
        {"person": [{"at": "x", "kind": "external_id"}]},
        {"occurred_at": ""},
        {"choices": {"at": "c", "granted": [True], "withdrawn": [True]}},
        {"choices": {"at": "c", "id": "Id", "granted": [True], "withdrawn": [False]}},
        {"choices": {"at": "c", "granted": [], "withdrawn": [False]}},
        {"purposes": {}},
        {"purposes": {"x": ["gossip:email"]}},
        {"purposes": {"x": ["marketing:pigeon"]}},
        {"purposes": {"x": "marketing:email"}},
    ],
)
def test_a_mapping_that_cannot_be_is_told_where(change: dict[str, Any]) -> None:
    mapping = {**deepcopy(dict(PLAIN)), **change}

    problem = mapping_problem(mapping, purposes=PURPOSES, channels=CHANNELS)

    assert problem.partition(":")[0] == next(iter(change))
