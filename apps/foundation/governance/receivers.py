"""What this app does at the news of others."""

from typing import Any

from django.dispatch import receiver

from apps.foundation.accounts.models import ApiClient, User
from apps.foundation.accounts.signals import api_client_changed, user_changed

from .models import Review
from .services import audit_record
from .signals import review_closed
from .workflow import review_mirrored


@receiver(user_changed, dispatch_uid="governance")
def account_goes_into_audit(*, user: User, by: User | None, action: str, data: dict[str, Any], **kwargs: Any) -> None:
    """Changes of accounts and roles are in the audit log, in the transaction that makes them."""
    audit_record(action=f"accounts.user.{action}", actor=by, subject=user, data=data)


@receiver(api_client_changed, dispatch_uid="governance")
def client_goes_into_audit(*, client: ApiClient, by: User, action: str, data: dict[str, Any], **kwargs: Any) -> None:
    """Changes of clients of the API and their keys are in the audit log, in the transaction that makes them."""
    audit_record(action=f"accounts.api_client.{action}", actor=by, subject=client, data=data)


@receiver(review_closed, dispatch_uid="governance")
def version_follows_review(*, review: Review, **kwargs: Any) -> None:
    """An answered review moves its version, in the same transaction."""
    review_mirrored(review)
