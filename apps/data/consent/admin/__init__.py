"""Consent in the admin: the ledger, what holds, wordings, and suppressed addresses."""

from .ledger import ConsentRecordAdmin, ConsentStateAdmin
from .suppressions import SuppressionAdmin
from .wordings import PrivacyPolicyAdmin, PurposeAdmin, WordingAdmin

__all__ = [
    "ConsentRecordAdmin",
    "ConsentStateAdmin",
    "PrivacyPolicyAdmin",
    "PurposeAdmin",
    "SuppressionAdmin",
    "WordingAdmin",
]
