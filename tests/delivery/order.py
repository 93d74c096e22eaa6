"""A watch over the order of commits: whether a message entered `sending` after its person's opt-out had committed.

Two looks, from both sides, and no clock. A deferred trigger runs as the last thing before the transaction commits that
moved a message to `sending`, and looks for an opt-out: one that it can see has committed before (`too_late`). And after
an opt-out was answered its snapshot is kept (`left`): a transaction that is not visible in it has committed later.
"""

from types import TracebackType

from django.db import connection

_WATCH = """
CREATE TABLE watch_sending (profile_id bigint, transaction xid8, too_late boolean);
CREATE TABLE watch_left (profile_id bigint PRIMARY KEY, snapshot pg_snapshot);
CREATE FUNCTION watch_sending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state = 'sending' AND OLD.state <> 'sending' THEN
    INSERT INTO watch_sending VALUES (NEW.profile_id, pg_current_xact_id(),
      EXISTS (SELECT FROM consent_consentstate
              WHERE profile_id = NEW.profile_id AND purpose_id = NEW.purpose AND NOT granted)
      OR EXISTS (SELECT FROM consent_preference
                 WHERE profile_id = NEW.profile_id AND paused_until > clock_timestamp()));
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_sending AFTER UPDATE ON sending_message
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_sending();
CREATE FUNCTION watch_linger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state = 'sending' AND OLD.state <> 'sending' AND NEW.profile_id % 5 = 0 THEN
    PERFORM pg_sleep(TG_ARGV[0]::float);
  END IF;
  RETURN NEW;
END $$;
"""
_LINGER = """
CREATE TRIGGER watch_linger BEFORE UPDATE ON sending_message FOR EACH ROW EXECUTE FUNCTION watch_linger('{seconds}')
"""
_UNWATCH = """
DROP TRIGGER IF EXISTS watch_linger ON sending_message; DROP TRIGGER watch_sending ON sending_message;
DROP FUNCTION watch_linger; DROP FUNCTION watch_sending; DROP TABLE watch_sending, watch_left
"""
_TOO_LATE = """
SELECT profile_id FROM watch_sending WHERE too_late
UNION
SELECT profile_id FROM watch_left JOIN watch_sending AS sent USING (profile_id)
WHERE NOT pg_visible_in_snapshot(sent.transaction, watch_left.snapshot)
ORDER BY profile_id
"""


class OrderWatch:
    """Watches for as long as it is open. linger: seconds for which every fifth person's window stays at the gate."""

    def __init__(self, *, linger: float = 0) -> None:
        self._linger = linger

    def __enter__(self) -> "OrderWatch":
        with connection.cursor() as cursor:
            cursor.execute(_WATCH)
            if self._linger:
                cursor.execute(_LINGER.format(seconds=self._linger))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_UNWATCH)

    def left(self, profile_id: int) -> None:
        """Their opt-out has been answered: what commits from here on is too late for them."""
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO watch_left VALUES (%s, pg_current_snapshot())", [profile_id])

    def back(self, profile_id: int) -> None:
        """They are about to agree again."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM watch_left WHERE profile_id = %s", [profile_id])

    def seen(self) -> int:
        """How many messages were seen to enter `sending`."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM watch_sending")
            return int(cursor.fetchone()[0])

    def too_late(self) -> list[int]:
        """The people whose message entered `sending` after their opt-out had committed."""
        with connection.cursor() as cursor:
            cursor.execute(_TOO_LATE)
            return [row[0] for row in cursor.fetchall()]
