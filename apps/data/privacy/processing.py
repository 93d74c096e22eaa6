"""The register of processing (GDPR, Article 30), from what each app declares and the retention settings."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.conf import settings

from .registry import Because, Processing, RetentionRule, processings, retention_rules

MEASURES = (
    "Names and addresses of people are sealed with a key of their own (AES-256-GCM), wrapped by a master key outside "
    "the database.",
    "Addresses are looked up and suppressed by keyed digest.",
    "What staff may see and do follows their role; what they did stands in an append-only audit log.",
    "The consent ledger is a keyed chain with signed heads outside the database; the application's database role can't "
    "change it.",
    "Logs, tasks and metrics hold no personal data.",
)
"""Technical and organisational measures, as Article 30(1)(g) wants them described in general."""


@dataclass(frozen=True, slots=True)
class Line:
    """One store of personal data, in words."""

    what: str
    subjects: str
    categories: Sequence[str]
    purpose: str
    lawful_basis: str
    recipients: Sequence[str]
    kept: str
    export: str
    erasure: str


@dataclass(frozen=True, slots=True)
class Register:
    """The whole register. controller: "" where nobody said so yet (setting CONTROLLER)."""

    controller: str
    lines: Sequence[Line]
    measures: Sequence[str]
    transfers: str


def register_read() -> Register:
    """What is processed, as it stands now."""
    rules = {rule.name: rule for rule in retention_rules()}
    told = sorted(processings(), key=lambda one: one.subjects == "staff")  # customers first
    return Register(
        controller=settings.CONTROLLER,
        lines=[_line(one, rules) for one in told],
        measures=MEASURES,
        transfers="Tessera sends nothing outside by itself but messages, by the mail relay, and news, to the systems "
        "that administrators set up. Whether these are in a third country is theirs to say.",
    )


def _line(one: Processing, rules: dict[str, RetentionRule]) -> Line:
    return Line(
        what=str(one.model._meta.verbose_name).capitalize(),
        subjects=one.subjects,
        categories=one.categories,
        purpose=one.purpose,
        lawful_basis=one.lawful_basis,
        recipients=one.recipients,
        kept=str(one.kept) if isinstance(one.kept, Because) else _kept(rules[one.kept]),
        export=str(one.exported) if isinstance(one.exported, Because) else "Told in the person's export.",
        erasure=str(one.erased) if isinstance(one.erased, Because) else "Forgotten when the person is erased.",
    )


def _kept(rule: RetentionRule) -> str:
    if not rule.days:
        return "For as long as the person is known."
    return f"{rule.days:,} day{'' if rule.days == 1 else 's'} ({rule.days_setting})."


def register_json() -> str:
    """The register as JSON."""
    return json.dumps(asdict(register_read()), indent=2, ensure_ascii=False)


def register_markdown() -> str:
    """The register as Markdown."""
    register = register_read()
    told = [
        "# Register of processing",
        "",
        "Records of processing activities under Article 30(1) of the GDPR, generated from the installation.",
        "",
        f"**Controller**: {register.controller or 'not said yet: set CONTROLLER'}",
        "",
    ]
    for line in register.lines:
        told += [
            f"## {line.what}",
            "",
            f"- **Purpose**: {line.purpose}",
            f"- **Lawful basis**: {line.lawful_basis}",
            f"- **Of whom**: {line.subjects}",
            f"- **What**: {'; '.join(line.categories)}",
            f"- **Recipients**: {'; '.join(line.recipients) or 'none'}",
            f"- **Kept**: {line.kept}",
            f"- **Export**: {line.export}",
            f"- **Erasure**: {line.erasure}",
            "",
        ]
    told += ["## Transfers to third countries", "", register.transfers, "", "## Measures", ""]
    told += [f"- {measure}" for measure in register.measures]
    return "\n".join(told) + "\n"
