"""Takes the addresses out of rows that are there: out of messages, and out of what relays said.

By PostgreSQL, some thousands of rows at a time, each in its own transaction: stopped in the middle, it goes on where it
was. The addresses themselves stand with their people, and are found there by `address_digest`.
"""

from django.db import migrations

_CHUNK = 5000
_EMPTY = """
UPDATE sending_message SET address = '' WHERE id IN (SELECT id FROM sending_message WHERE address <> '' LIMIT %s)
"""
# as apps.foundation.core.masking masks what is new
_MASK = """
UPDATE sending_deliveryattempt
SET response = regexp_replace(response, '[^][\\s<>(),;:"''|=]+@[^][\\s<>(),;:"''|=]+', '•••', 'g')
WHERE id IN (SELECT id FROM sending_deliveryattempt
             WHERE response ~ '[^][\\s<>(),;:"''|=]@[^][\\s<>(),;:"''|=]' LIMIT %s)
"""


def addresses_leave(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for statement in (_EMPTY, _MASK):
            cursor.execute(statement, [_CHUNK])
            while cursor.rowcount:
                cursor.execute(statement, [_CHUNK])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sending", "0001_initial")]
    operations = [migrations.RunPython(addresses_leave, migrations.RunPython.noop)]
