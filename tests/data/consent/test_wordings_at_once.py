"""A new meaning and the gate: which comes first is settled by a lock, not by chance."""

from concurrent.futures import ThreadPoolExecutor

from django.db import connection, transaction

from apps.data.consent.models import WordingText, WordingVersion
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import gate_lock
from apps.data.consent.wordings import wording_published
from tests.factories import make_profile
from tests.wordings import SECOND, agree, make_wording


def test_a_new_meaning_waits_for_who_passed_the_gate_and_holds_for_who_comes_after(own_database: str) -> None:
    # given somebody who agreed to the first text, and a second one of another meaning, approved
    wording = make_wording()
    person = make_profile()
    agree(person)
    author = wording.versions.get().created_by
    version = WordingVersion.objects.create(
        wording=wording, number=2, texts=SECOND, material=True, digest="0" * 64, created_by=author
    )

    def publish() -> None:
        try:
            with transaction.atomic():
                wording_published(wording, version, author)
        finally:
            connection.close()

    def reason() -> str:
        return gate_read(profile_ids=[person.pk], purpose="marketing", channel="email")[person.pk].reason

    # when it is published while the person's gate is locked
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            gate_lock(profile_ids=[person.pk])
            publishing = pool.submit(publish)
            with connection.cursor() as cursor:
                while True:  # until the other one waits for the lock
                    cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                    if cursor.fetchone() == (1,) or publishing.done():
                        break
            waited = not publishing.done()
            inside = (reason(), WordingText.objects.filter(version=version).exists())
        publishing.result(30)

    # then who held the gate saw the old text to the end, and whoever comes after sees the new one
    assert waited
    assert inside == ("", False)
    assert reason() == "wording_outdated"
