"""Trying dead letters again."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.governance.services import audit_record

from .dead_letters import Letter, letter_open
from .duplicates import message_digest, messages_unmark
from .errors import Unreadable
from .models import DeadLetter
from .reading import arrival_read
from .recording import batch_record


@dataclass(slots=True)
class Replayed:
    """What came of trying: written, known already, set aside once more."""

    written: int = 0
    known: int = 0
    again: int = 0


def letters_replay(*, letter_ids: Iterable[UUID], by: User | None = None) -> Replayed:
    """Try letters again, each in a transaction of its own: it is gone once its event is written.

    by: None for the operator at the command line. What can't be written now either is a letter again, with one try
    more. Raises NotAllowed, MasterKeyMissing, Tampered.
    """
    if by is not None:
        right_require(by, "change", DeadLetter, what="have dead letters tried again")
    done = Replayed()
    for letter_id in letter_ids:
        with transaction.atomic():
            letter = DeadLetter.objects.select_for_update(of=("self",)).filter(pk=letter_id).first()
            if letter is None:
                continue
            opened = letter_open(letter)
            with connection.cursor() as cursor:
                messages_unmark(cursor, [message_digest(letter.source, letter.message_id)])
            letter.delete()
            try:
                arrival = arrival_read(
                    opened.raw, entry=opened.entry, made_id=letter.message_id, sent_at=opened.sent_at
                )
            except Unreadable as error:
                still = Letter(
                    entry=opened.entry, raw=opened.raw, message_id=letter.message_id, reason=error.reason,
                    problem=error.says, sent_at=opened.sent_at, name=letter.name,
                    tries=letter.tries + 1,
                )  # fmt: skip
                came = batch_record([], [still])
            else:
                arrival.tries = letter.tries
                came = batch_record([arrival])
            done.written += came.events
            done.known += came.duplicates
            done.again += came.dead
    audit_record(
        action="events.letters.replayed",
        actor=by,
        data={"written": done.written, "known": done.known, "again": done.again},
    )
    return done
