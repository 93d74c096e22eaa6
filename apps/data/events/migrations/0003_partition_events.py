"""Events in a table for each month, and what tells duplicates, in one for each day.

The application's role may not make tables, so the owner's functions do it for it: they make what is missing ahead, and
drop what is wholly before a moment, and nothing else. Events that were there go over with their numbers.
"""

from django.db import migrations, models
from django.db.models import Q

TABLES = """
CREATE TABLE events_event_new (
    id bigint NOT NULL,
    profile_id bigint NULL,
    name varchar(120) NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    message_id varchar(120) NOT NULL,
    properties jsonb NOT NULL,
    source varchar(60) NOT NULL DEFAULT '',
    anonymous bytea NULL,
    context jsonb NULL,
    faults jsonb NULL,
    schema_version smallint NULL CHECK (schema_version >= 0),
    PRIMARY KEY (id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE events_event_default PARTITION OF events_event_new DEFAULT;

CREATE TABLE events_messageseen (
    day date NOT NULL,
    digest uuid NOT NULL,
    PRIMARY KEY (day, digest)
) PARTITION BY RANGE (day);
CREATE TABLE events_messageseen_default PARTITION OF events_messageseen DEFAULT;
"""

# A new partition is made beside its table and then attached: that waits for no reader. Rows that the default partition
# has of its time (nobody made partitions for months) go over to it.
FUNCTIONS = """
CREATE FUNCTION events_partition_make(parent regclass, suffix text, lower text, upper text, columned text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    made text := parent::text || '_' || suffix;
    kept text := parent::text || '_default';
BEGIN
    IF to_regclass(made) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', made, parent);
    EXECUTE format('WITH gone AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM gone',
                   kept, columned, lower, columned, upper, made);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, made, lower, upper);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION events_partition_make(regclass, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION events_partitions_make(since timestamptz, months integer, days integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    made integer := 0;
    first date := date_trunc('month', since);
    at date;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 0);
    FOR step IN 0..months LOOP
        at := first + make_interval(months => step);
        made := made + events_partition_make('events_event', to_char(at, 'YYYYMM'), at::timestamptz::text,
            (at + interval '1 month')::timestamptz::text, 'recorded_at')::int;
    END LOOP;
    FOR step IN 0..days LOOP
        at := since::date + step;
        made := made + events_partition_make('events_messageseen', to_char(at, 'YYYYMMDD'), at::text,
            (at + 1)::text, 'day')::int;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION events_partitions_drop(events_before timestamptz, seen_before date)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    one record;
    gone bigint := 0;
    rows bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7301, 0);
    FOR one IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'events_event'::regclass AND child.relname ~ '_[0-9]{6}$'
          AND to_date(right(child.relname, 6), 'YYYYMM') + interval '1 month' <= events_before
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', one.relname) INTO rows;
        EXECUTE format('DROP TABLE %I', one.relname);
        gone := gone + rows;
    END LOOP;
    FOR one IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'events_messageseen'::regclass AND child.relname ~ '_[0-9]{8}$'
          AND to_date(right(child.relname, 8), 'YYYYMMDD') < seen_before
    LOOP
        EXECUTE format('DROP TABLE %I', one.relname);
    END LOOP;
    DELETE FROM events_messageseen_default WHERE day < seen_before;
    RETURN gone;
END $$;
"""

MOVE = """
INSERT INTO events_event_new (id, profile_id, name, occurred_at, recorded_at, message_id, properties)
SELECT id, profile_id, name, occurred_at, recorded_at, message_id, properties FROM events_event;
CREATE SEQUENCE events_event_number AS bigint;
SELECT setval('events_event_number', coalesce((SELECT max(id) FROM events_event), 0) + 1, false);
DROP TABLE events_event;
ALTER TABLE events_event_new RENAME TO events_event;
ALTER TABLE events_event RENAME CONSTRAINT events_event_new_pkey TO events_event_pkey;
ALTER SEQUENCE events_event_number RENAME TO events_event_id_seq;
ALTER SEQUENCE events_event_id_seq OWNED BY events_event.id;
ALTER TABLE events_event ALTER COLUMN id SET DEFAULT nextval('events_event_id_seq');
ALTER TABLE events_event ADD CONSTRAINT event_of_a_profile
    FOREIGN KEY (profile_id) REFERENCES profiles_profile (id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX event_of_profile ON events_event (profile_id, name, occurred_at);
CREATE INDEX event_as_recorded ON events_event (name, recorded_at, id);
CREATE INDEX event_by_message ON events_event (message_id);
CREATE INDEX event_of_nobody_yet ON events_event (anonymous) WHERE anonymous IS NOT NULL AND profile_id IS NULL;
"""

# The months that hold events, and what is needed ahead; and what came within seven days stays known.
FILL = """
SELECT events_partitions_make(month, 0, -1)
FROM (SELECT DISTINCT date_trunc('month', recorded_at, 'UTC') AS month FROM events_event) AS months;
SELECT events_partitions_make(now(), 3, 7);
INSERT INTO events_messageseen (day, digest)
SELECT DISTINCT (recorded_at AT TIME ZONE 'UTC')::date,
    encode(substr(sha256(convert_to(source, 'UTF8') || '\\x00'::bytea || convert_to(message_id, 'UTF8')), 1, 16), 'hex')::uuid
FROM events_event WHERE recorded_at > now() - interval '7 days';
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0002_find_what_was_recorded_lately"), ("profiles", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLES + FUNCTIONS + MOVE + FILL, migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.AlterField("event", "message_id", models.CharField(max_length=120)),
                migrations.AddField(
                    "event", "source", models.CharField(blank=True, db_default="", default="", max_length=60)
                ),
                migrations.AddField("event", "anonymous", models.BinaryField(blank=True, max_length=33, null=True)),
                migrations.AddField("event", "context", models.JSONField(blank=True, null=True)),
                migrations.AddField("event", "faults", models.JSONField(blank=True, null=True)),
                migrations.AddField("event", "schema_version", models.PositiveSmallIntegerField(blank=True, null=True)),
                migrations.AddIndex("event", models.Index(fields=["message_id"], name="event_by_message")),
                migrations.AddIndex(
                    "event",
                    models.Index(
                        condition=Q(("profile", None), ("anonymous__isnull", False)),
                        fields=["anonymous"],
                        name="event_of_nobody_yet",
                    ),
                ),
                migrations.CreateModel(
                    name="MessageSeen",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "day", "digest", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("day", models.DateField()),
                        (
                            "digest",
                            models.UUIDField(help_text="the first 16 bytes of SHA-256 over source and message id"),
                        ),
                    ],
                ),
            ],
        ),
    ]
