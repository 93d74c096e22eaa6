"""Whatever its document allows, and what it doesn't, is asked of the API by every kind of client.

Schemathesis makes the requests and follows what answers lead to. No answer is a fault of ours, every refusal is a
problem, and nothing opens without its scope.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.conf import LazySettings
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, Phase
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis.config import GenerationConfig, SchemathesisConfig

from apps.data.events.stream import group_ensure
from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.accounts.api_scopes import KIND_OF_CLIENT
from apps.foundation.accounts.models import User
from tests.architecture.api_permissions import ENDPOINTS
from tests.factories import make_profile, make_published

from .makers import Asker, make_asker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "place")]
KINDS = sorted(KIND_OF_CLIENT)


@pytest.fixture
def place(settings: LazySettings, tmp_path: Path) -> None:
    """Files that are sent in go into a folder of the test's own."""
    settings.DATA_DIR = tmp_path / "data"
    keys_forget()


@cache
def loaded() -> Any:
    """The document, as schemathesis reads it: it makes requests that are allowed, and others."""
    config = SchemathesisConfig()
    config.projects.default.generation = GenerationConfig(
        modes=list(schemathesis.GenerationMode), with_security_parameters=False
    )
    return schemathesis.openapi.from_wsgi("/api/v1/schema", WSGIHandler(), config=config)


def judge(asker: Asker, case: Any, answer: Any) -> None:
    """Raise AssertionError for an answer that must not be."""
    asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}"
    told = f"{asked} -> {answer.status_code} {answer.text:.500}"
    assert answer.status_code < 500, told
    kind = answer.headers.get("content-type", [""])[0]
    if answer.status_code >= 400:
        assert kind == "application/problem+json", told
    scope = case.operation.definition.raw.get("x-scope")
    if scope is not None and scope not in asker.client.scopes:
        assert answer.status_code in (400, 403, 404, 405), told


def bounds(examples: int, steps: int) -> hypothesis.settings:
    """So many walks of so many steps, the same ones each time."""
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def walks(kind: str, count: int, steps: int) -> None:
    """Ask one thing after another, each with what the answers before told, in so many walks of so many steps.

    What one walk has made, the next one finds: the same choices may lead elsewhere by then, and Hypothesis, which wants
    them not to, begins anew with other ones, as Schemathesis's own runs do. So faults are kept beside it: none is lost
    by that.
    """
    root = User.objects.create_superuser("root@staff.example", "a long enough password")  # so that nothing else refuses
    asker = make_asker(kind=kind, per_minute=1_000_000, owner=root)
    make_published(by=root)
    make_profile(consent=("marketing",))
    faults: list[str] = []
    walked: list[int] = []

    class Walk(loaded().as_state_machine()):  # type: ignore[misc]  # made while it runs
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {asker.key}"}}

        def validate_response(self, response: Any, case: Any, **kwargs: Any) -> None:
            try:
                judge(asker, case, response)
            except AssertionError as fault:
                faults.append(str(fault))

        def teardown(self) -> None:
            walked.append(len(self.recorder.cases))

    for seed in range(count):
        with suppress(FlakyStrategyDefinition):
            hypothesis.seed(seed)(Walk).run(settings=bounds(count - len(walked), steps))
        if len(walked) >= count or faults:
            break

    assert faults == []
    assert len(walked) >= count
    assert sum(walked) >= count * steps // 2


@pytest.mark.parametrize("kind", KINDS)
def test_one_after_another_nothing_is_our_fault(kind: str) -> None:
    walks(kind, 2, 8)


def segment_ask(path: str, examples: int) -> None:
    """Send an address of Segment's whatever its document allows, and what it doesn't."""
    group_ensure()
    source, stranger = make_asker(kind="event_source", per_minute=1_000_000), make_asker("items:read")

    @bounds(examples, 1)
    @hypothesis.given(hypothesis.strategies.data())
    def ask(data: Any) -> None:
        operation = loaded()[path]["POST"]
        mode = data.draw(hypothesis.strategies.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        for asker, statuses in ((source, {200, 400, 413, 415}), (stranger, {403})):
            answer = case.call(headers={"Authorization": f"Bearer {asker.key}"})
            judge(asker, case, answer)
            assert answer.status_code in statuses, answer.text

    ask()


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/identify"])
def test_whatever_segments_addresses_are_sent_nothing_is_our_fault(path: str) -> None:
    segment_ask(path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(f"/{route}" for route in ENDPOINTS if route.startswith("v1/")))
def test_nothing_of_segments_is_our_fault_for_long(path: str) -> None:
    segment_ask(path, int(os.environ.get("WALKS", "100")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_our_fault_for_long(kind: str) -> None:
    walks(kind, int(os.environ.get("WALKS", "100")), 25)
