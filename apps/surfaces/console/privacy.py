"""What it tells of the personal data it holds: who dry runs look at, and tests that staff send to themselves."""

from django.db import connection

from apps.data.privacy.registry import Because, Forgotten, Person, erase_step, processing_declare

from .models import DryRunBatch, DryRunSample, TestSend

_KINDS = """
UPDATE console_dryrunbatch
SET profile_ids = array_remove(profile_ids, %(person)s), getting = array_remove(getting, %(person)s), kinds = '{}'
WHERE %(person)s = ANY(profile_ids) OR %(person)s = ANY(getting)
"""


def _forget(person: Person) -> Forgotten:
    count, _kinds = DryRunSample.objects.filter(profile_id=person.profile_id).delete()
    with connection.cursor() as cursor:
        cursor.execute(_KINDS, {"person": person.profile_id})
        count += cursor.rowcount
    return Forgotten(count)


def privacy_register() -> None:
    """Say what this app holds."""
    erase_step("rehearsals", _forget, title="Dry runs that looked at them")
    hours = Because("For some hours: the setting DRY_RUN_KEEP_HOURS.")
    for model in (DryRunBatch, DryRunSample):
        processing_declare(
            model,
            purpose="Looking at what would go out before it does",
            lawful_basis="legitimate interest",
            categories=("numbers of the people looked at",),
            kept=hours,
            exported=Because("A number for some hours; nothing came of it for the person."),
            erased="rehearsals",
        )
    processing_declare(
        TestSend,
        purpose="Letting staff see a message as it arrives, before customers get it",
        lawful_basis="legitimate interest",
        categories=("a message as somebody would see it, until it is handed over",),
        recipients=("the mail relay", "the member of staff who asked"),
        kept=hours,
        exported=Because("It goes to the member of staff who asked, as an invented or a real person would see it."),
        erased="rehearsals",
        subjects="customers, staff",
    )
