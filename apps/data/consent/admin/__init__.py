"""Consent in the admin: the ledger, what holds, wordings, topics and interests, and suppressed addresses."""

from .ledger import ConsentRecordAdmin, ConsentStateAdmin
from .offering import InterestAdmin, TopicAdmin
from .platforms import ConsentPlatformAdmin
from .suppressions import SuppressionAdmin
from .wordings import PrivacyPolicyAdmin, PurposeAdmin, WordingAdmin

__all__ = [
    "ConsentPlatformAdmin",
    "ConsentRecordAdmin",
    "ConsentStateAdmin",
    "InterestAdmin",
    "PrivacyPolicyAdmin",
    "PurposeAdmin",
    "SuppressionAdmin",
    "TopicAdmin",
    "WordingAdmin",
]
