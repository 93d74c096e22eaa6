"""What it tells of the personal data it holds: what was decided for a person, and why, in words."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import Because, Row, export_part, processing_declare

from .models import Decision
from .selectors import decision_explain


def _decisions(profile_id: int) -> Iterator[Row]:
    ids = Decision.objects.filter(profile_id=profile_id).order_by("pk").values_list("pk", flat=True)
    for decision_id in ids.iterator(chunk_size=500):
        told = decision_explain(decision_id)
        yield {
            "what": told.run,
            "when": told.decided_at,
            "decision": told.summary,
            "language": told.language,
            "known_then": told.values,
            "why": [
                {"place": slot.name, "shown": slot.block, "rule": slot.rule, "because": slot.why, "items": slot.items}
                for slot in told.slots
            ],
        }


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "decisions",
        _("What was decided for you, and why"),
        _decisions,
        words={
            "what": _("What"),
            "when": _("When"),
            "decision": _("Decision"),
            "language": _("Language"),
            "known_then": _("What was known then"),
            "why": _("Why"),
        },
    )
    processing_declare(
        Decision,
        purpose="Choosing what a person gets, and being able to explain it to them (GDPR, Articles 13(2)(f) and 22)",
        lawful_basis="consent, for what is personalised; contract, for transactional messages",
        categories=("what was known of the person then, what was chosen, and why",),
        kept=Because("Kept for as long as the person is known: it explains what they got."),
        exported="decisions",
        erased=Because("It can't be changed by design; it is sealed with the person's key, which an erasure destroys."),
    )
