"""What tests of delivery share: a relay that can misbehave, and a database that refuses steps not in the table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from apps.delivery.sending import windows
from apps.delivery.sending.rules import FIRST, STEPS
from tests.delivery.makers import make_purposes
from tests.delivery.relay import Relay


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    """A running relay; SMTP_URL points at it."""
    one = Relay()
    one.start()
    settings.SMTP_URL = f"smtp://127.0.0.1:{one.port}?timeout=10"
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def journals_aside(settings: Settings, tmp_path: Path) -> Path:
    """Journals of their own for each test, and a breaker that remembers nothing."""
    settings.DATA_DIR = tmp_path
    windows.breaker.worked()
    return tmp_path


def _steps_are_held() -> None:
    steps = [f"{before}>{after}" for before, afters in STEPS.items() for after in afters]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE OR REPLACE FUNCTION tests_step_is_allowed() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF TG_OP = 'INSERT' AND NOT NEW.state = ANY('{{{",".join(FIRST)}}}') THEN
                RAISE EXCEPTION 'no message begins as %', NEW.state;
              ELSIF TG_OP = 'UPDATE' AND NEW.state <> OLD.state
                    AND NOT (OLD.state || '>' || NEW.state) = ANY('{{{",".join(steps)}}}') THEN
                RAISE EXCEPTION 'no step leads from % to %', OLD.state, NEW.state;
              END IF;
              RETURN NEW;
            END $$;
            DROP TRIGGER IF EXISTS tests_steps ON sending_message;
            CREATE TRIGGER tests_steps BEFORE INSERT OR UPDATE ON sending_message
              FOR EACH ROW EXECUTE FUNCTION tests_step_is_allowed();
            """
        )


@pytest.fixture
def ledger(transactional_db: None) -> Iterator[None]:
    """The database with real commits, the purposes, and a trigger that holds every step against the table."""
    make_purposes()
    _steps_are_held()
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER tests_steps ON sending_message")
