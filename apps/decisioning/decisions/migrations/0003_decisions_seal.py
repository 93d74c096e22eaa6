"""Seals the inputs and reasons of decisions that are there, and empties the columns in which they stood in clear.

By the owner of the tables, whom append-only rows do not hold; a thousand rows at a time, each in its own transaction.
Stopped in the middle, it goes on where it was. Whoever was erased before has no key: of them nothing is kept.
"""

import json

from django.db import connections, migrations, transaction

from apps.data.profiles.vault import keys_make, vault_open
from apps.decisioning.decisions.sealing import Kept, decision_seal

_CHUNK = 1000
_OPEN = """
SELECT id, profile_id, inputs::text, reasons::text FROM decisions_decision
WHERE id > %s AND sealed = '' ORDER BY id LIMIT %s
"""
_SEAL = """
UPDATE decisions_decision AS decision SET sealed = new.sealed, inputs = '{}', reasons = '{}'
FROM unnest(%s::uuid[], %s::bytea[]) AS new(id, sealed) WHERE decision.id = new.id
"""


def decisions_seal(apps, schema_editor):
    last = "00000000-0000-0000-0000-000000000000"
    while last:
        last = _some_seal(schema_editor.connection.alias, last)


def _some_seal(using, last):
    """Seal those after `last`. Returns the last one, None when there was none."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(_OPEN, [last, _CHUNK])
        rows = cursor.fetchall()
        people = [row[1] for row in rows]
        keys_make(people)
        vault = vault_open(people)
        sealed = [
            decision_seal(
                vault,
                decision_id=decision_id,
                profile_id=profile_id,
                kept=Kept(json.loads(inputs), json.loads(reasons)),
            )
            if profile_id in vault
            else b""
            for decision_id, profile_id, inputs, reasons in rows
        ]
        cursor.execute(_SEAL, [[row[0] for row in rows], sealed])
        return rows[-1][0] if rows else None


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("decisions", "0002_decision_sealed"), ("profiles", "0003_profile_keys")]
    operations = [migrations.RunPython(decisions_seal, migrations.RunPython.noop)]
