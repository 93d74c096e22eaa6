"""What is kept how long, and the register of processing, are shown as they are."""

import json

import pytest
from django.core.management import call_command
from django.test import Client

from apps.data.privacy.models import RetentionMark
from apps.data.privacy.registry import processings, retention_rules
from apps.foundation.core.clock import now
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_user("analyst"))
    return client


def test_each_rule_is_shown_with_its_days_and_what_it_forgot(client: Client, settings: object) -> None:
    settings.EVENT_KEEP_DAYS = 400  # type: ignore[attr-defined]
    RetentionMark.objects.create(rule="events", ran_at=now(), forgot_last=7, forgot=1234, problem="OperationalError")

    text = client.get("/console/retention/").content.decode()

    for rule in retention_rules():
        assert rule.what in text
    assert "400 days" in text
    assert "1,234" in text
    assert "OperationalError" in text


def test_the_register_says_what_each_app_declares_and_follows_the_settings(client: Client, settings: object) -> None:
    settings.EVENT_KEEP_DAYS = 400  # type: ignore[attr-defined]
    settings.CONTROLLER = "Shop Ltd, 1 Road, dpo@shop.example"  # type: ignore[attr-defined]

    page = client.get("/console/register-of-processing/").content.decode()
    told = json.loads(client.get("/console/register-of-processing/?as=json").content)
    text = client.get("/console/register-of-processing/?as=md").content.decode()

    assert told["controller"] == "Shop Ltd, 1 Road, dpo@shop.example"
    assert len(told["lines"]) == len(processings())
    event = next(line for line in told["lines"] if line["what"] == "Event")
    assert event["kept"] == "400 days (EVENT_KEEP_DAYS)."
    for line in told["lines"]:
        assert f"## {line['what']}" in text
        assert line["purpose"] in text
    assert "400 days (EVENT_KEEP_DAYS)." in page


def test_the_command_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("register_of_processing")
    assert capsys.readouterr().out.startswith("# Register of processing")
    call_command("register_of_processing", "--json")
    assert json.loads(capsys.readouterr().out)["lines"]
