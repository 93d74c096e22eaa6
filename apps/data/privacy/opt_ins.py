"""What consent holds for a while only: opt-ins that wait, withdrawals of people not known yet, and whence choices came.

Consent lies below this app.
"""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import AwaitedWithdrawal, ConsentOrigin, OptIn, PlatformNotice
from apps.data.consent.opt_ins import opt_ins_forget
from apps.data.consent.origins import origin_read, origins_forget
from apps.data.consent.platforms import notices_forget

from .registry import Because, Forgotten, Person, Row, erase_step, export_part, processing_declare, retention_rule


def _opt_ins(profile_id: int) -> Iterator[Row]:
    for one in OptIn.objects.filter(profile_id=profile_id).order_by("asked_at"):
        yield {
            "purposes": list(one.asked),
            "channel": one.get_channel_display(),
            "where": one.source,
            "when": one.asked_at,
            "until": one.expires_at,
            "confirmed": one.confirmed_at,
        }


def _origins(profile_id: int) -> Iterator[Row]:
    for one in ConsentOrigin.objects.filter(profile_id=profile_id).order_by("kept_at"):
        origin = origin_read(digest=bytes(one.digest))
        if origin is not None:
            yield {"address": origin.ip, "browser": origin.user_agent, "when": one.kept_at}


def _forget(person: Person) -> Forgotten:
    origins, _by_model = ConsentOrigin.objects.filter(profile_id=person.profile_id).delete()
    opt_ins, _by_model = OptIn.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(origins + opt_ins)


def opt_ins_register() -> None:
    """Say what is held, and until when."""
    export_part(
        "opt_ins",
        _("What you asked for on a form"),
        _opt_ins,
        words={
            "purposes": _("What for"),
            "channel": _("By"),
            "where": _("Where"),
            "when": _("When"),
            "until": _("To be confirmed until"),
            "confirmed": _("Confirmed"),
        },
    )
    export_part(
        "consent_origins",
        _("Where your choices came from"),
        _origins,
        words={"address": _("Internet address"), "browser": _("Browser"), "when": _("When")},
    )
    erase_step("consent_origins", _forget, title="Where their choices came from, and what waits to be confirmed")
    retention_rule("opt_ins", "Opt-ins that are over, confirmed or not", "OPT_IN_KEEP_DAYS", opt_ins_forget)
    retention_rule(
        "consent_origins",
        "Internet address and browser of consent choices, from when they were made",
        "CONSENT_ORIGIN_DAYS",
        origins_forget,
    )
    retention_rule(
        "platform_notices",
        "Which messages of consent platforms were taken",
        "PLATFORM_NOTICE_KEEP_DAYS",
        notices_forget,
    )
    basis = "legal obligation (GDPR, Article 7(1))"
    processing_declare(
        AwaitedWithdrawal,
        purpose="Honouring a withdrawal made elsewhere by somebody who is not known here yet",
        lawful_basis="legal obligation (GDPR, Article 7(3))",
        categories=("keyed digest of what they are known by", "what was withdrawn, and when"),
        kept=Because("Until they turn up: then it is a record of their own. The digest can't be read back."),
        exported=Because("It belongs to nobody who is known here: there is nobody to tell it to."),
        erased=Because("Who is erased is known here, so their withdrawals are records; this is about others."),
    )
    processing_declare(
        PlatformNotice,
        purpose="Taking each message of a consent platform once",
        lawful_basis="legal obligation (GDPR, Article 7(1))",
        categories=("ids and digests of messages, and counts",),
        kept="platform_notices",
        exported=Because("It says nothing of a person: ids of messages and counts."),
        erased=Because("It says nothing of a person: ids of messages and counts."),
    )
    processing_declare(
        OptIn,
        purpose="Having the holder of an address confirm what was asked for on a form",
        lawful_basis=basis,
        categories=("what was asked for, when and where", "keyed digest of the address"),
        kept="opt_ins",
        exported="opt_ins",
        erased="consent_origins",
    )
    processing_declare(
        ConsentOrigin,
        purpose="Being able to show whence a choice came",
        lawful_basis=basis,
        categories=("internet address and browser, sealed",),
        kept="consent_origins",
        exported="consent_origins",
        erased="consent_origins",
    )
