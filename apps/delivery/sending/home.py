"""Where the ledger lives. A ledger that was restored elsewhere, or to an earlier time, lets nothing out.

A backup knows nothing of what was handed over after it was made: its messages still wait, and would go out once more.
So the ledger keeps which database it lives in: the cluster's identifier, the database's number in it, and the timeline,
which a recovery to a point in time and a promoted standby begin anew. Where these are not the same any more, claims
find nothing, until somebody has looked and `recovery.ledger_take_over` was called.
"""

import logging
from typing import Final

from django.db import connection

logger = logging.getLogger(__name__)

HERE: Final = """
SELECT system.system_identifier, base.oid::bigint AS database_oid,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline
FROM pg_control_system() AS system, pg_database AS base WHERE base.datname = current_database()
"""
ELSEWHERE: Final = f"""
SELECT FROM sending_home AS home, ({HERE}) AS here
WHERE home.held_since IS NOT NULL
   OR (home.system_identifier, home.database_oid, home.timeline)
      <> (here.system_identifier, here.database_oid, here.timeline)
"""  # constants
"""A row where the ledger is not at home; for an EXISTS."""

_ADOPT: Final = f"""
INSERT INTO sending_home (id, system_identifier, database_oid, timeline, since)
SELECT 1, here.*, clock_timestamp() FROM ({HERE}) AS here
ON CONFLICT (id) DO NOTHING
"""  # noqa: S608
_MOVE: Final = f"""
UPDATE sending_home AS home
SET system_identifier = here.system_identifier, database_oid = here.database_oid, timeline = here.timeline,
    since = clock_timestamp(), held_since = NULL
FROM ({HERE}) AS here
"""  # noqa: S608
_HOLD: Final = "UPDATE sending_home SET held_since = coalesce(held_since, clock_timestamp())"


def home_adopt() -> None:
    """Note where the ledger lives, where that is not known yet."""
    with connection.cursor() as cursor:
        cursor.execute(_ADOPT)


def home_move() -> None:
    """Note that it lives here now, and let it go on."""
    with connection.cursor() as cursor:
        cursor.execute(_ADOPT)
        cursor.execute(_MOVE)


def sending_hold() -> None:
    """Let nothing out until the ledger is taken over: for a restore that can't be told, such as of a whole machine."""
    with connection.cursor() as cursor:
        cursor.execute(_ADOPT)
        cursor.execute(_HOLD)


def held() -> bool:
    """Whether nothing goes out because the ledger was restored, or held by hand."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS ({ELSEWHERE})")
        return bool(cursor.fetchone()[0])


def home_look() -> None:
    """Say so where nothing goes out."""
    if held():
        logger.error("nothing is sent: the ledger was restored or is held; look at docs/running.md, then take it over")
