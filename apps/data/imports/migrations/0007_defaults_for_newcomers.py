from django.db import migrations

_TEXTS = ("first_name", "last_name", "country", "language", "time_zone")
_DEFAULTS = {"key": "''", "email_made": "false", "attributes": "'{}'"} | dict.fromkeys(_TEXTS, "''")


def _alter(what: str) -> str:
    return "ALTER TABLE imports_stagedperson " + ", ".join(
        f"ALTER COLUMN {name} {what.format(value)}" for name, value in _DEFAULTS.items()
    )


# An import that was recording its grants had one lane.
_LANES = """
UPDATE imports_import SET progress = jsonb_set(progress, '{granted}', (
  SELECT jsonb_object_agg(key, jsonb_build_array(jsonb_build_array(value, 9223372036854775807)))
  FROM jsonb_each(progress -> 'granted')))
WHERE state NOT IN ('done', 'failed') AND progress -> 'granted' <> '{}'
"""


class Migration(migrations.Migration):
    """Of people who were written down as new only what they agreed to is staged: the rest is empty. Grants are recorded
    in lanes."""

    dependencies = [("imports", "0006_numbers_drawn")]

    operations = [
        migrations.RunSQL(_alter("SET DEFAULT {}"), _alter("DROP DEFAULT")),
        migrations.RunSQL(_LANES, migrations.RunSQL.noop),
    ]
