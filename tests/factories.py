"""Makes what tests need, with defaults that are whole. Plain functions; each says what matters by its arguments."""

from itertools import count

from apps.data.consent.models import Action, Channel, ConsentRecord, ConsentState, Gate
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import user_create
from apps.foundation.core.clock import now
from apps.foundation.core.signing import address_digest

_number = count(1)


def make_user(role: str = "local_editor", **fields: str) -> User:
    """A member of staff with one role."""
    number = next(_number)
    return user_create(
        email=fields.get("email", f"{role}-{number}@staff.example"),
        password="a long enough password",
        role=role,
        first_name=fields.get("first_name", role.replace("_", " ").title()),
    )


def make_profile(*, email: str | None = "", consent: tuple[str, ...] = (), **fields: object) -> Profile:
    """A customer with a main address (email=None for none) and e-mail consent for the purposes named."""
    number = next(_number)
    profile = Profile.objects.create(**fields)
    if email is not None:
        value = email or f"customer-{number}@example.com"
        Identifier.objects.create(
            profile=profile, kind="email", value=value, digest=address_digest("email", value), main=True
        )
    for purpose in consent:
        record = ConsentRecord.objects.create(
            profile=profile,
            purpose_id=purpose,
            channel=Channel.EMAIL,
            action=Action.GRANT,
            method=ConsentRecord.Method.API,
            source="test",
            occurred_at=now(),
        )
        Gate.objects.get_or_create(profile=profile)
        ConsentState.objects.create(
            profile=profile,
            purpose_id=purpose,
            channel=Channel.EMAIL,
            granted=True,
            record=record,
            changed_at=record.occurred_at,
        )
    return profile
