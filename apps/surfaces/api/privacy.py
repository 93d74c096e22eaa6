"""What the API keeps of people: ids in answers, for a day."""

from apps.data.privacy.registry import Because, processing_declare, retention_rule

from .idempotency import answers_forget
from .models import KeptAnswer


def privacy_register() -> None:
    """Say what this app holds."""
    told = "Answers to requests of other systems, to be given again"
    retention_rule("kept_answers", told, "IDEMPOTENCY_KEEP_DAYS", answers_forget)
    processing_declare(
        KeptAnswer,
        purpose="Making once what another system asks for twice",
        lawful_basis="legitimate interest",
        categories=("numbers of people that a request was about",),
        kept="kept_answers",
        exported=Because("Numbers alone, of no meaning outside, and gone after a day."),
        erased=Because("Numbers of people and digests, nothing that says who they are; gone after a day."),
    )
