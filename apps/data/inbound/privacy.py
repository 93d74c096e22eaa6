"""What it tells of the personal data it holds: what could not be taken, and digests of what is known already."""

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    erase_step,
    processing_declare,
    retention_rule,
)
from apps.foundation.core.signing import address_digests

from .models import InboundLetter, InboundMark
from .services import letters_forget, marks_forget


def _forget(person: Person) -> Forgotten:
    """Letters that name them, and what is known of them at other systems, by their identifiers before these go."""
    digests = [digest for kind, value in person.identifiers for digest in address_digests(kind, value)]
    gone, _kinds = InboundLetter.objects.filter(digests__overlap=digests).delete()
    marks, _kinds = InboundMark.objects.filter(digest__in=digests).delete()
    return Forgotten(gone + marks)


def privacy_register() -> None:
    """Say what this app holds."""
    erase_step("inbound", _forget, title="What other systems told and could not be taken")
    retention_rule(
        "inbound_letters",
        "What other systems told and could not be taken",
        "EVENT_DEAD_LETTER_KEEP_DAYS",
        letters_forget,
    )
    retention_rule("inbound_marks", "How new what other systems told is", "INBOUND_MARK_KEEP_DAYS", marks_forget)
    processing_declare(
        InboundLetter,
        purpose="Mending what another system told and could not be taken, so that nothing is lost",
        lawful_basis="legitimate interest: that what people do is known as they did it",
        categories=("what was told of a person, as it was told, sealed",),
        kept="inbound_letters",
        exported=Because("It is not known to be about the person until it can be taken; then it is among the rest."),
        erased="inbound",
    )
    processing_declare(
        InboundMark,
        purpose="Taking what other systems tell once, and never an older state for a newer one",
        lawful_basis="legitimate interest",
        categories=("keyed digests of the numbers of orders, carts, tickets and customers, and moments",),
        kept="inbound_marks",
        exported=Because("A digest of a number with a moment says nothing that the order or ticket does not."),
        erased="inbound",
    )
