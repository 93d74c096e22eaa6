"""Answers in a table for each day, found by the time in their ids, and dropped as a whole when they are too old.

The application's role may not make or drop tables, so the owner's functions do it for it. Answers that are there stay
where they are: their table is attached as the first part, without a row being copied. Nothing refers to a person's row
any more, or making and dropping a day's table would lock everybody's.
"""

from django.db import migrations, models

# An id of version 7 begins with its milliseconds: the smallest id of a moment bounds the day.
FUNCTIONS = """
CREATE FUNCTION decisions_first_id(at timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT rpad(lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

CREATE FUNCTION decisions_answers_bound() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT substring(pg_get_expr(relpartbound, oid) FROM $re$TO \\('([^']+)'\\)$re$)::uuid
    FROM pg_class WHERE oid = to_regclass('public.decisions_answer_before')
$$;

CREATE FUNCTION decisions_answers_make(since timestamptz, days integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    made integer := 0;
    day timestamptz;
    part text;
    low uuid;
    high uuid;
    behind uuid := coalesce(decisions_answers_bound(), '00000000-0000-0000-0000-000000000000');
BEGIN
    PERFORM pg_advisory_xact_lock(7310, 0);
    FOR step IN 0..days LOOP
        day := date_trunc('day', since) + make_interval(days => step);
        part := 'decisions_answer_' || to_char(day, 'YYYYMMDD');
        low := decisions_first_id(day);
        high := decisions_first_id(day + interval '1 day');
        CONTINUE WHEN to_regclass(part) IS NOT NULL OR low < behind;
        EXECUTE format('CREATE TABLE %I (LIKE decisions_answer INCLUDING ALL)', part);
        EXECUTE format('WITH gone AS (DELETE FROM decisions_answer_default WHERE id >= %L AND id < %L RETURNING *)
                        INSERT INTO %I SELECT * FROM gone', low, high, part);
        EXECUTE format('ALTER TABLE decisions_answer ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       part, low, high);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION decisions_answers_drop(before timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    one record;
    gone bigint := 0;
    rows bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7310, 0);
    FOR one IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'decisions_answer'::regclass AND CASE
            WHEN child.relname ~ '_[0-9]{8}$' THEN to_date(right(child.relname, 8), 'YYYYMMDD') + 1 <= before
            ELSE child.relname = 'decisions_answer_before' AND decisions_answers_bound() <= decisions_first_id(before)
        END
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', one.relname) INTO rows;
        EXECUTE format('DROP TABLE %I', one.relname);
        gone := gone + rows;
    END LOOP;
    RETURN gone;
END $$;
"""

# What is there becomes the part up to the end of its last day, or of today; the days begin behind it.
TABLE = """
LOCK TABLE decisions_answer IN ACCESS EXCLUSIVE MODE;
DROP INDEX answer_to_forget;
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT conname FROM pg_constraint WHERE conrelid = 'decisions_answer'::regclass AND contype = 'f' LOOP
        EXECUTE format('ALTER TABLE decisions_answer DROP CONSTRAINT %I', one.conname);
    END LOOP;
END $$;
ALTER TABLE decisions_answer RENAME TO decisions_answer_before;
ALTER TABLE decisions_answer_before RENAME CONSTRAINT decisions_answer_pkey TO decisions_answer_before_pkey;
ALTER INDEX answer_of_person RENAME TO answer_of_person_before;
CREATE TABLE decisions_answer (LIKE decisions_answer_before INCLUDING DEFAULTS, PRIMARY KEY (id))
    PARTITION BY RANGE (id);
CREATE INDEX answer_of_person ON decisions_answer (profile_id, id);
CREATE TABLE decisions_answer_default PARTITION OF decisions_answer DEFAULT;
DO $$
DECLARE
    last uuid := (SELECT id FROM decisions_answer_before ORDER BY id DESC LIMIT 1);
    at timestamptz := now();
    bound uuid;
BEGIN
    IF last IS NULL THEN
        DROP TABLE decisions_answer_before;
        RETURN;
    END IF;
    at := greatest(at, to_timestamp(
        ('x' || left(replace(last::text, '-', ''), 12))::bit(48)::bigint / 1000.0));
    bound := decisions_first_id(date_trunc('day', at, 'UTC') + interval '1 day');
    EXECUTE format('ALTER TABLE decisions_answer ATTACH PARTITION decisions_answer_before
                    FOR VALUES FROM (MINVALUE) TO (%L)', bound);
END $$;
SELECT decisions_answers_make(now(), 7);
"""

BACK = """
CREATE TABLE decisions_answer_one (LIKE decisions_answer INCLUDING DEFAULTS, PRIMARY KEY (id));
INSERT INTO decisions_answer_one SELECT * FROM decisions_answer;
DROP TABLE decisions_answer;
ALTER TABLE decisions_answer_one RENAME TO decisions_answer;
ALTER TABLE decisions_answer RENAME CONSTRAINT decisions_answer_one_pkey TO decisions_answer_pkey;
CREATE INDEX answer_of_person ON decisions_answer (profile_id, id);
CREATE INDEX answer_to_forget ON decisions_answer (decided_at);
ALTER TABLE decisions_answer ADD CONSTRAINT answer_of_a_profile
    FOREIGN KEY (profile_id) REFERENCES profiles_profile (id) DEFERRABLE INITIALLY DEFERRED;
DROP FUNCTION decisions_answers_make(timestamptz, integer);
DROP FUNCTION decisions_answers_drop(timestamptz);
DROP FUNCTION decisions_answers_bound();
DROP FUNCTION decisions_first_id(timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [("decisions", "0009_decisions_lock_no_runs")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FUNCTIONS + TABLE, BACK)],
            state_operations=[
                migrations.RemoveIndex("answer", "answer_to_forget"),
                migrations.AlterField(
                    "answer",
                    "profile",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="answers",
                        to="profiles.profile",
                    ),
                ),
            ],
        ),
    ]
