"""What is held of those who work here, for the register of processing. Their apps lie below this one."""

from collections.abc import Sequence

from django.db.models import Model

from apps.foundation.accounts.models import ApiKey, User
from apps.foundation.governance.models import (
    Approval,
    AuditEntry,
    Notice,
    NoticeMute,
    Publication,
    Review,
    ReviewComment,
)

from .registry import Because, processing_declare

_NO_CUSTOMER = Because("It is about staff, whom their employer tells what is held of them; no customer is in it.")
_RECORD = Because("Kept as the record of who agreed to what, and who did what.")


def staff_register() -> None:
    """Say what is held of staff."""
    account = Because("Kept for as long as they work here; a closed account stays, since the records name it.")
    models: Sequence[tuple[type[Model], str, Sequence[str], str]] = (
        (User, "Letting staff in, with the rights of their roles", ("name", "e-mail address", "roles"), account),
        (ApiKey, "Letting systems in", ("who made a key, and when it was used",), account),
        (Notice, "Telling staff what waits for them", ("what was told to whom, and whether it was read",), account),
        (NoticeMute, "Telling staff what waits for them", ("which mails somebody does not want",), account),
        (AuditEntry, "Showing who did what", ("who did what, when",), _RECORD),
        (Review, "Having others agree before something goes out", ("who asked, and what they wrote",), _RECORD),
        (Approval, "Having others agree before something goes out", ("who said what",), _RECORD),
        (ReviewComment, "Having others agree before something goes out", ("who said what",), _RECORD),
        (Publication, "Showing who published what", ("who published and withdrew what",), _RECORD),
    )
    for model, purpose, categories, kept in models:
        processing_declare(
            model,
            purpose=purpose,
            lawful_basis="legitimate interest; legal obligation (GDPR, Article 5(2))",
            categories=categories,
            recipients=("the mail relay, for notices",) if model is Notice else (),
            kept=kept,
            exported=_NO_CUSTOMER,
            erased=_NO_CUSTOMER,
            subjects="staff",
        )
