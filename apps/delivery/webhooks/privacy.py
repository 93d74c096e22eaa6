"""What it tells of the personal data it holds: news with the numbers of people."""

from django.db.models import Q

from apps.data.privacy.registry import Because, Forgotten, Person, erase_step, processing_declare, retention_rule

from .models import WebhookDelivery, WebhookEvent
from .services import events_forget


def _forget(person: Person) -> Forgotten:
    """News about them goes, also what still waits: receivers are told of the erasure instead, which says more."""
    about = Q(payload__data__profile=person.profile_id)
    gone = WebhookEvent.objects.filter(about).delete()[1].get(WebhookEvent._meta.label, 0)
    return Forgotten(gone, "Systems that were told before are told of the erasure (Art. 19), by number.")


def privacy_register() -> None:
    """Say what this app holds."""
    erase_step("webhooks", _forget, title="News about them for other systems")
    retention_rule("webhooks", "News for other systems that was carried out", "WEBHOOK_KEEP_DAYS", events_forget)
    for model in (WebhookEvent, WebhookDelivery):
        processing_declare(
            model,
            purpose="Telling other systems of changes at once",
            lawful_basis="legal obligation (GDPR, Article 19); legitimate interest",
            categories=("numbers of people, and what changed",),
            recipients=("the systems that administrators set up",),
            kept="webhooks",
            exported=Because("It repeats by number what the other parts tell."),
            erased="webhooks",
        )
