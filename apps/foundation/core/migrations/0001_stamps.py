from django.db import migrations, models

# Whoever changes something at the same time doesn't wait: rows that another transaction is taking away are left to it.
_FUNCTION = """
CREATE FUNCTION core_stamp_put() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM core_stamp WHERE id IN (SELECT id FROM core_stamp WHERE kind = TG_ARGV[0] FOR UPDATE SKIP LOCKED);
    INSERT INTO core_stamp (kind) VALUES (TG_ARGV[0]);
    RETURN NULL;
END $$;
-- small, and with many dead rows for each that lives
ALTER TABLE core_stamp SET (autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Stamp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=20)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(_FUNCTION, "DROP FUNCTION core_stamp_put()"),
    ]
