"""What it tells of the personal data it holds: numbers of people whose data lacks something."""

from django.db import connection

from apps.data.privacy.registry import Because, Forgotten, Person, erase_step, processing_declare

from .models import QualitySample

_FORGET = """
UPDATE monitoring_qualitysample SET profile_ids = array_remove(profile_ids, %(person)s)
WHERE %(person)s = ANY(profile_ids)
"""


def _forget(person: Person) -> Forgotten:
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"person": person.profile_id})
        return Forgotten(cursor.rowcount)


def privacy_register() -> None:
    """Say what this app holds."""
    erase_step("quality samples", _forget, title="Notes that their data lacks something")
    processing_declare(
        QualitySample,
        purpose="Mending what is known of people, so that it is right (GDPR, Article 5(1)(d))",
        lawful_basis="legitimate interest",
        categories=("numbers of some people whose data lacks something",),
        kept=Because("Until the next measurement: a day."),
        exported=Because("It says only that something else in this copy is missing, old or odd."),
        erased="quality samples",
    )
