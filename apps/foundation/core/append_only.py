"""Tables that only grow. The application's role may SELECT and INSERT there, nothing else.

`migrate`, run by the owner of the database with APP_DB_ROLE set, grants that role its rights.
"""

from typing import Any, TypeVar

from django.apps import AppConfig
from django.conf import settings
from django.db import connections, models, transaction
from psycopg2 import sql

M = TypeVar("M", bound=type[models.Model])
_append_only: set[type[models.Model]] = set()


def append_only(model: M) -> M:
    """Mark a model: its rows are never changed or removed by the application."""
    _append_only.add(model)
    return model


def append_only_models() -> frozenset[type[models.Model]]:
    """The models so marked."""
    return frozenset(_append_only)


def rights_grant(app_config: AppConfig, using: str, **kwargs: Any) -> None:
    """Receiver of post_migrate: give APP_DB_ROLE its rights on every table."""
    role = settings.APP_DB_ROLE
    if not role or app_config.name != "apps.foundation.core":
        return
    who = sql.Identifier(role)
    statements = [
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(who),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(who),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(who),
        sql.SQL("REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}").format(who),
        *(
            sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(sql.Identifier(model._meta.db_table), who)
            for model in sorted(_append_only, key=lambda model: model._meta.label)
        ),
    ]
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.as_string(cursor.cursor.connection))
