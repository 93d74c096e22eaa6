"""Tallies of the events that were there before there were tallies."""

from django.db import migrations

TALLY = """
INSERT INTO features_eventday (profile_id, name_id, day, number, first_at, last_at)
SELECT profile_id, ('x' || encode(substr(sha256(convert_to(name, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint,
       (occurred_at AT TIME ZONE 'UTC')::date, count(*), min(occurred_at), max(occurred_at)
FROM events_event WHERE profile_id IS NOT NULL GROUP BY 1, 2, 3;
INSERT INTO features_eventtally (profile_id, name_id, number, first_at, last_at)
SELECT profile_id, name_id, sum(number), min(first_at), max(last_at) FROM features_eventday GROUP BY 1, 2;
"""


class Migration(migrations.Migration):
    dependencies = [("features", "0001_tallies"), ("events", "0002_find_what_was_recorded_lately")]

    operations = [migrations.RunSQL(TALLY, migrations.RunSQL.noop)]
