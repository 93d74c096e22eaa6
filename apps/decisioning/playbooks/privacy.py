"""What it tells of the personal data it holds: journeys, who was in an audience, and which system mail was wanted."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Phase,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)

from .models import Journey, MailWant, Member, RunBatch, Sighting

_MAIL: Final = "system_mail"


def _journeys(profile_id: int) -> Iterator[Row]:
    journeys = Journey.objects.filter(profile_id=profile_id).select_related("playbook")
    for one in journeys.order_by("pk").iterator(chunk_size=500):
        yield {
            "playbook": one.playbook.name,
            "state": one.get_state_display(),
            "began": one.entered_at,
            "ended": one.ended_at,
            "why": one.reason,
            "history": one.history,
        }


def _members(profile_id: int) -> Iterator[Row]:
    for one in Member.objects.filter(profile_id=profile_id).select_related("playbook").order_by("pk"):
        yield {"playbook": one.playbook.name, "since": one.since}


def _forget(person: Person) -> Forgotten:
    """Journeys end here, whatever step they are at: nothing more comes of them."""
    journeys, _kinds = Journey.objects.filter(profile_id=person.profile_id).delete()
    members, _kinds = Member.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(journeys + members, "Numbers of people in the lists of past runs, which say who was looked at.")


def _mails(profile_id: int) -> Iterator[Row]:
    for one in MailWant.objects.filter(profile_id=profile_id).order_by("pk"):
        yield {"kind": one.get_kind_display(), "wanted": one.wanted_at}


def _mails_forget(person: Person) -> Forgotten:
    return Forgotten(MailWant.objects.filter(profile_id=person.profile_id).delete()[0])


def _mails_forget_old(before: datetime, limit: int) -> int:
    old = MailWant.objects.filter(wanted_at__lt=before).order_by("pk").values("pk")[:limit]
    return MailWant.objects.filter(pk__in=old).delete()[0]


def _mails_register() -> None:
    words = {"kind": _("What for"), "wanted": _("When")}
    export_part(_MAIL, _("E-mails that you asked for"), _mails, words=words)
    erase_step(_MAIL, _mails_forget, title="Which system mail was wanted for them", phase=Phase.STOP)
    retention_rule(_MAIL, "What a system mail was about", "SYSTEM_MAIL_KEEP_DAYS", _mails_forget_old)
    processing_declare(
        MailWant,
        purpose="Sending people what they asked for: confirmations, links, their data",
        lawful_basis="contract; legal obligation, for confirmations and requests",
        categories=("which system mail was wanted, and when",),
        kept=_MAIL,
        exported=_MAIL,
        erased=_MAIL,
    )


def privacy_register() -> None:
    """Say what this app holds."""
    _mails_register()
    export_part(
        "journeys",
        _("Series of messages that you were in"),
        _journeys,
        words={
            "playbook": _("Name"),
            "state": _("State"),
            "began": _("Began"),
            "ended": _("Ended"),
            "why": _("Why it ended"),
            "history": _("What happened"),
        },
    )
    export_part(
        "memberships",
        _("Groups of customers that you belong to"),
        _members,
        words={"playbook": _("Used for"), "since": _("Since")},
    )
    erase_step("journeys", _forget, title="Journeys, and groups they were in", phase=Phase.STOP)
    purpose = "Sending series of messages, each once"
    basis = "consent; contract, for transactional messages"
    known = Because("Kept while the playbook looks for who enters its audience.")
    once = Because("Kept for as long as the person is known: that nobody gets the same series twice depends on it.")
    number = Because("Only a number is left in it: the person it stood for is not known any more.")
    for model, categories, kept, exported, erased in (
        (Journey, ("which steps of which playbook were taken, and when",), once, "journeys", "journeys"),
        (Member, ("who is in the audience of a playbook",), known, "memberships", "journeys"),
        (
            RunBatch,
            ("numbers of the people of a run",),
            Because("Kept with the run, whose record it is."),
            Because("Each person's decision in the run is told."),
            number,
        ),
        (
            Sighting,
            ("ids of events that were looked at",),
            Because("Gone after some days, with the trigger's next look."),
            Because("The events themselves are told."),
            Because("Only an event's id is left in it, and the event is gone."),
        ),
    ):
        processing_declare(
            model,
            purpose=purpose,
            lawful_basis=basis,
            categories=categories,
            kept=kept,
            exported=exported,
            erased=erased,
        )
