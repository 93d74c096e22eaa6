"""Consent in the admin: the ledger, what holds, wordings, topics and interests, and suppressed addresses."""

from .ledger import ConsentRecordAdmin, ConsentStateAdmin
from .offering import InterestAdmin, TopicAdmin
from .suppressions import SuppressionAdmin
from .wordings import PrivacyPolicyAdmin, PurposeAdmin, WordingAdmin

__all__ = [
    "ConsentRecordAdmin",
    "ConsentStateAdmin",
    "InterestAdmin",
    "PrivacyPolicyAdmin",
    "PurposeAdmin",
    "SuppressionAdmin",
    "TopicAdmin",
    "WordingAdmin",
]
