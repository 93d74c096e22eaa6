"""Wordings of marketing for tests: published, changed and agreed to."""

from typing import Any

from apps.data.consent.models import Channel, ConsentRecord, Wording, WordingVersion
from apps.data.consent.services import consent_grant
from apps.data.consent.wordings import circumstances_of, wording_create, wording_shown, wording_version_create
from apps.data.profiles.models import Profile
from apps.foundation.governance.models import Approval
from apps.foundation.governance.services import review_answer
from apps.foundation.governance.workflow import version_publish, version_submit
from tests.factories import make_paths, make_purposes, make_user

EMAIL = Channel.EMAIL
BY: dict[str, Any] = {"method": ConsentRecord.Method.PREFERENCES, "source": "test"}
FIRST = {"en": "Yes, send me offers.", "de": "Ja, schickt mir Angebote."}
SECOND = {"en": "Yes, send me offers of partners too.", "de": "Ja, auch Angebote von Partnern."}


def agreed_to(version: WordingVersion) -> WordingVersion:
    """Handed in, agreed to by the brand and by the law, and published."""
    review = version_submit(version=version, by=version.created_by)
    for role in review.roles:
        review_answer(review_id=review.pk, by=make_user(role), verdict=Approval.Verdict.APPROVE)
    version_publish(version=version, by=make_user("publisher"))
    return version


def make_wording(texts: dict[str, str] = FIRST, *, channel: str = "", **values: Any) -> Wording:
    """A wording of marketing whose first version is published."""
    make_purposes()
    make_paths()
    wording = wording_create(by=make_user("publisher"), purpose="marketing", channel=channel, texts=texts, **values)
    agreed_to(wording.versions.get())
    return wording


def next_version(wording: Wording, texts: dict[str, str] = SECOND, **values: Any) -> WordingVersion:
    version = wording_version_create(wording_id=wording.pk, by=make_user("publisher"), texts=texts, **values)
    return agreed_to(version)


def agree(profile: Profile, *, channel: str = EMAIL, locale: str = "en") -> bool:
    shown = wording_shown(purpose="marketing", channel=channel, locale=locale)
    return consent_grant(
        profile_id=profile.pk, purpose="marketing", channel=channel, circumstances=circumstances_of(shown), **BY
    )
