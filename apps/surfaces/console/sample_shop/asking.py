"""What the shop asks of its customers: topics to choose from, and the words that they agree to."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from apps.data.consent.models import Topic
from apps.data.consent.offering import offered_put
from apps.data.consent.wordings import policy_add, wording_create
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import Approval
from apps.foundation.governance.services import review_answer
from apps.foundation.governance.workflow import version_publish, version_submit


def asking_make(*, staff: Mapping[str, User], as_of: datetime) -> None:
    """Topics, the wording of marketing, and the privacy policy. staff: a user by role."""
    data: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("asking.yaml").read_text("utf-8"))
    publisher, lawyer = staff["publisher"], staff["legal_approver"]
    for position, (code, words) in enumerate(data["topics"].items()):
        offered_put(model=Topic, by=publisher, code=code, position=position, **words)
    policy_add(by=lawyer, in_force_from=as_of, **data["policy"])
    for purpose, texts in data["wordings"].items():
        wording = wording_create(by=publisher, purpose=purpose, channel="", texts=texts)
        version = wording.versions.get()
        review = version_submit(version=version, by=publisher, note="What the box says from now on.")
        for role in review.roles:
            review_answer(review_id=review.pk, by=staff[role], verdict=Approval.Verdict.APPROVE, comment="Agreed.")
        version_publish(version=version, by=publisher)
