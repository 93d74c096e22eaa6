"""The application's role in PostgreSQL: it works everywhere, and what is append-only it can only add to."""

import os
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, transaction
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.foundation.core.append_only import append_only_models, rights_grant
from tests.factories import make_profile

APPEND_ONLY = sorted(append_only_models(), key=lambda model: model._meta.label)
OTHERS = sorted(
    {model for model in apps.get_models(include_auto_created=True) if model._meta.managed} - set(APPEND_ONLY),
    key=lambda model: model._meta.label,
)
PROMISED = {
    "consent.ConsentRecord",
    "content.BlockVersion",
    "content.CompiledTemplate",
    "content.TemplateVersion",
    "decisions.Decision",
    "governance.Approval",
    "governance.AuditEntry",
}


@pytest.fixture
def app_role(db: None, settings: Settings) -> Iterator[str]:
    """A role without rights of its own, given those of the application; the test's transaction takes it all back.

    The role of APP_DB_ROLE is taken where the tests' own role may act as it, else one is made.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, r.rolcreaterole OR r.rolsuper,"
            " EXISTS (SELECT FROM pg_roles a WHERE a.rolname = %s AND NOT a.rolsuper"
            "         AND pg_has_role(current_user, a.oid, 'MEMBER'))"
            " FROM pg_roles r WHERE r.rolname = current_user",
            [settings.APP_DB_ROLE],
        )
        owner, may_create, may_act = cursor.fetchone()
        role = settings.APP_DB_ROLE
        if not may_act:
            if not may_create:
                pytest.skip("give the tests' role CREATEROLE, or name in APP_DB_ROLE one that it is a member of")
            role = f"tessera_test_app_{os.getpid()}"
            cursor.execute(f'CREATE ROLE "{role}" NOLOGIN')
            cursor.execute(f'GRANT "{role}" TO "{owner}"')
        settings.APP_DB_ROLE = role
        rights_grant(apps.get_app_config("core"), using="default")
        cursor.execute(f'SET LOCAL ROLE "{role}"')
        yield role
        cursor.execute("RESET ROLE")


def run(statement: str, table: str, column: str = "") -> None:
    """Run a statement that touches no row: PostgreSQL asks for the right all the same."""
    with transaction.atomic(), connection.cursor() as cursor:
        composed = sql.SQL(statement).format(table=sql.Identifier(table), column=sql.Identifier(column))
        cursor.execute(composed.as_string(cursor.cursor.connection))


def denied(statement: str, table: str, column: str = "") -> bool:
    """Whether PostgreSQL refuses for want of a right; any other fault is raised."""
    try:
        run(statement, table, column)
    except ProgrammingError as error:
        if isinstance(error.__cause__, InsufficientPrivilege):
            return True
        raise
    return False


STAGING: set[str] = set()
"""Tables without a model: what an import reads into before it merges."""

SELECT = "SELECT * FROM {table} LIMIT 0"
INSERT = "INSERT INTO {table} SELECT * FROM {table} WHERE false"
UPDATE = "UPDATE {table} SET {column} = {column} WHERE false"
DELETE = "DELETE FROM {table} WHERE false"
TRUNCATE = "TRUNCATE {table} CASCADE"


def test_what_is_append_only_is_what_was_promised() -> None:
    assert {model._meta.label for model in APPEND_ONLY} >= PROMISED


def test_it_can_only_read_and_add_where_rows_must_stay(app_role: str) -> None:
    for model in APPEND_ONLY:
        table, column = model._meta.db_table, str(model._meta.concrete_fields[-1].column)
        run(SELECT, table)
        run(INSERT, table)
        for forbidden in (UPDATE, DELETE, TRUNCATE):
            assert denied(forbidden, table, column), f"{forbidden} on {table}"


def test_it_can_work_everywhere_else(app_role: str) -> None:
    for model in OTHERS:
        table, column = model._meta.db_table, str(model._meta.concrete_fields[-1].column)
        for allowed in (SELECT, INSERT, UPDATE, DELETE):
            run(allowed, table, column)


def test_it_cannot_change_the_house(app_role: str) -> None:
    assert denied("INSERT INTO {table} (app, name, applied) VALUES ('x', 'y', now())", "django_migrations")
    assert denied("CREATE TABLE {table} (id int)", "planted")
    assert denied("ALTER TABLE {table} ADD COLUMN planted int", ConsentRecord._meta.db_table)
    assert denied("DROP TABLE {table} CASCADE", ConsentRecord._meta.db_table)
    assert denied("ALTER TABLE {table} DISABLE TRIGGER ALL", ConsentRecord._meta.db_table)


def test_it_withdraws_consent_and_cannot_unsay_it(app_role: str) -> None:
    profile = make_profile(consent=("marketing",))

    assert consent_withdraw(
        profile_id=profile.pk,
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.PREFERENCES,
        source="preference page",
    )

    ledger = ConsentRecord.objects.filter(profile=profile).order_by("id")
    assert list(ledger.values_list("action", flat=True)) == ["grant", "withdraw"]
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        ledger.filter(action="withdraw").delete()
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        ledger.filter(action="withdraw").update(action="grant")
    assert list(ledger.values_list("action", flat=True)) == ["grant", "withdraw"]


def test_every_table_of_the_database_is_one_of_a_model_or_known(db: None) -> None:
    """A table made by hand in a migration is seen by `GRANT … ON ALL TABLES` too: it has to be meant."""
    by_model = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}

    beside = set(connection.introspection.table_names()) - by_model - {"django_migrations"}
    assert beside <= STAGING
