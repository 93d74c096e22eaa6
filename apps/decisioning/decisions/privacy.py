"""What it tells of the personal data it holds: what was decided for a person, and why, in words."""

from collections.abc import Iterator
from datetime import datetime

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
from apps.data.profiles.vault import Erased, Tampered, vault_open

from .digests import digests_forget
from .models import Answer, Decision, DigestPiece, ItemShown
from .partitions import answers_forget, decisions_forget
from .sealing import ANSWERS, Kept, decision_open
from .selectors import OUTCOMES, decision_explain


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


def _pieces(profile_id: int) -> Iterator[Row]:
    rows = DigestPiece.objects.filter(profile_id=profile_id).select_related("decision__run__playbook")
    for one in rows.order_by("kept_at", "pk").iterator(chunk_size=500):
        yield {
            "what": one.decision.run.playbook.name,
            "state": one.get_state_display(),
            "why_not": one.reason,
            "kept": one.kept_at,
            "settled": one.settled_at,
        }


def _pieces_drop(person: Person) -> Forgotten:
    """Nothing that was collected comes any more."""
    return Forgotten(DigestPiece.objects.filter(profile_id=person.profile_id).delete()[0])


def _answers(profile_id: int) -> Iterator[Row]:
    rows = Answer.objects.filter(profile_id=profile_id).select_related("version__playbook").order_by("pk")
    vault = vault_open([profile_id])
    for row in rows.iterator(chunk_size=500):
        try:
            sealed = bytes(row.sealed)
            kept = decision_open(vault, decision_id=row.pk, profile_id=profile_id, sealed=sealed, table=ANSWERS)
        except (Erased, Tampered):
            kept = Kept()
        yield {
            "what": row.version.playbook.name,
            "when": row.decided_at,
            "decision": OUTCOMES.get(row.outcome, row.outcome),
            "language": kept.inputs.get("language", ""),
            "known_then": kept.inputs.get("profile", {}),
            "why": kept.reasons,
        }


def _answers_drop(person: Person) -> Forgotten:
    """What was asked about them is forgotten."""
    return Forgotten(Answer.objects.filter(profile_id=person.profile_id).delete()[0])


def _items_drop(person: Person) -> Forgotten:
    """How often they were shown what is forgotten."""
    return Forgotten(ItemShown.objects.filter(profile_id=person.profile_id).delete()[0])


def _items_forget(before: datetime, limit: int) -> int:
    old = ItemShown.objects.filter(shown_at__lt=before).order_by("shown_at").values_list("pk", flat=True)[:limit]
    return ItemShown.objects.filter(pk__in=list(old)).delete()[0]


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "answers",
        _("What was decided for you, and why"),
        _answers,
        words={
            "what": _("What"),
            "when": _("When"),
            "decision": _("Decision"),
            "language": _("Language"),
            "known_then": _("What was known then"),
            "why": _("Why"),
        },
    )
    erase_step("answers", _answers_drop, title="What pages and apps asked about them", phase=Phase.STOP)
    retention_rule("answers", "Decisions that pages and apps asked for", "ANSWER_KEEP_DAYS", answers_forget)
    erase_step("items_shown", _items_drop, title="Which items they were shown how often", phase=Phase.STOP)
    retention_rule(
        "items_shown", "Which items messages showed, for the limit of how often", "ITEM_SHOWN_KEEP_DAYS", _items_forget
    )
    processing_declare(
        ItemShown,
        purpose="Not showing somebody the same item again and again",
        lawful_basis="legitimate interest",
        categories=("keyed digests of the items that messages showed, and when",),
        kept="items_shown",
        exported=Because("Digests tell nothing; the items themselves stand in the decisions, which are exported."),
        erased="items_shown",
    )
    processing_declare(
        Answer,
        purpose="Choosing what a person is shown on a page or in an app, and being able to explain it",
        lawful_basis="consent, for what is personalised; contract, for transactional messages",
        categories=("what was known of the person then, what was chosen, and why",),
        kept="answers",
        exported="answers",
        erased="answers",
    )
    export_part(
        "digest_pieces",
        _("What was collected for your digest"),
        _pieces,
        words={
            "what": _("What"),
            "state": _("State"),
            "why_not": _("Why not"),
            "kept": _("Kept"),
            "settled": _("When it was decided"),
        },
    )
    erase_step("digest_pieces", _pieces_drop, title="What was collected for their digest", phase=Phase.STOP)
    retention_rule(
        "digest_pieces",
        "What became of messages that were collected for a digest, from when it was known",
        "DIGEST_PIECE_KEEP_DAYS",
        digests_forget,
    )
    processing_declare(
        DigestPiece,
        purpose="Collecting messages for people who want a digest, each shown once",
        lawful_basis="consent",
        categories=("which decision was kept, until when, and what became of it",),
        kept="digest_pieces",
        exported="digest_pieces",
        erased="digest_pieces",
    )
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
    retention_rule("decisions", "What runs decided, and why", "DECISION_KEEP_DAYS", decisions_forget)
    processing_declare(
        Decision,
        purpose="Choosing what a person gets, and being able to explain it to them (GDPR, Articles 13(2)(f) and 22)",
        lawful_basis="consent, for what is personalised; contract, for transactional messages",
        categories=("what was known of the person then, what was chosen, and why",),
        kept="decisions",
        exported="decisions",
        erased=Because("It can't be changed by design; it is sealed with the person's key, which an erasure destroys."),
    )
