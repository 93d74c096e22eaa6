"""What people read before they agree: the text to show, writing wordings, and what follows when one is published."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.text import is_blank
from apps.foundation.governance.models import State
from apps.foundation.governance.selectors import version_state
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import head_edited

from .contracts import Circumstances, WordingShown
from .models import Channel, PrivacyPolicy, Purpose, Wording, WordingText, WordingVersion, text_digest
from .services import gates_hold

LONGEST: Final = 4_000
"""Characters of a text. What is longer is read by nobody, and informs nobody (GDPR, Article 7(2))."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


# --- what to show ---


def wording_shown(*, purpose: str, channel: str, locale: str) -> WordingShown:
    """The text to show before somebody agrees to a purpose on a channel; see `wordings_shown`. Raises NotFound."""
    shown = wordings_shown(channel=channel, locale=locale)
    if purpose not in shown:
        raise NotFound("purpose_unknown", "There is no such purpose")
    return shown[purpose]


def wordings_shown(*, channel: str, locale: str) -> dict[str, WordingShown]:
    """The text of each purpose for a channel, in two statements.

    In the person's language, else in the default one, else in the first there is. A channel's own wording goes before
    the one for all; where none is published, it is the purpose's own description.
    """
    found: dict[str, dict[str, list[WordingText]]] = {}
    for text in WordingText.objects.filter(shown_until=None, channel__in=(channel, "")).select_related("version"):
        found.setdefault(text.purpose_id, {}).setdefault(text.channel, []).append(text)
    shown = {}
    for purpose in Purpose.objects.all():
        code, own = purpose.pk, found.get(purpose.pk, {})
        texts = own.get(channel) or own.get("") or []
        if not texts:
            described, tag = _described(purpose, locale)
            shown[code] = WordingShown(None, 0, described, text_digest(described), tag)
            continue
        by_locale = {text.locale: text for text in texts}
        best = by_locale[_nearest(by_locale, locale)]
        shown[code] = WordingShown(best.version_id, best.version.number, best.text, best.digest, best.locale)
    return shown


def wording_read(*, purpose: str, channel: str, locale: str, digest: str) -> WordingShown:
    """The text that somebody was shown, by its digest as their form brought it back; else the one that holds now.

    A text that was replaced since the page was opened is what they agreed to: the ledger says so, and the gate what
    follows. Raises NotFound for an unknown purpose.
    """
    now_shown = wording_shown(purpose=purpose, channel=channel, locale=locale)
    if not digest or digest == now_shown.digest:
        return now_shown
    texts = WordingText.objects.filter(purpose_id=purpose, channel__in=(channel, ""), digest=digest)
    was = texts.select_related("version").order_by("-published_at").first()
    if was is None:
        return now_shown
    return WordingShown(was.version_id, was.version.number, was.text, was.digest, was.locale)


def wording_text(*, purpose: Purpose, digest: str) -> str:
    """A text of a purpose by its digest: one that was published, or its description in some language; else ""."""
    published = WordingText.objects.filter(purpose=purpose, digest=digest).values_list("text", flat=True).first()
    if published is not None:
        return published
    own = [purpose.description, *(words.get("description", "") for words in purpose.translations.values())]
    return next((text for text in own if text and text_digest(text) == digest), "")


def _described(purpose: Purpose, locale: str) -> tuple[str, str]:
    """The description of a purpose in a language, and the language that it really is in."""
    for tag in (locale, locale.partition("-")[0]):
        if text := purpose.translations.get(tag, {}).get("description", ""):
            return text, tag
    return purpose.description, settings.LANGUAGE_CODE


def _nearest(known: Mapping[str, Any], locale: str) -> str:
    for wanted in (locale, settings.LANGUAGE_CODE):
        for tag in (wanted, wanted.partition("-")[0]):
            if tag in known:
                return tag
    return sorted(known)[0]


def circumstances_of(shown: WordingShown, **others: Any) -> Circumstances:
    """What the ledger keeps of a choice made under this text, with the policy that is in force; others: as they are."""
    policy = policy_current()
    return Circumstances(
        wording_digest=shown.digest,
        wording_version_id=shown.id,
        locale=shown.locale,
        policy_version=policy.version if policy is not None else "",
        **others,
    )


def policy_current() -> PrivacyPolicy | None:
    """The privacy policy in force; None where none was ever entered."""
    return PrivacyPolicy.objects.filter(in_force_from__lte=now()).first()


def policy_add(*, by: User, version: str, url: str, in_force_from: datetime) -> PrivacyPolicy:
    """Enter a version of the privacy policy. Raises NotAllowed, Conflict for a version that is there already."""
    right_require(by, "add", PrivacyPolicy, what="enter a privacy policy")
    try:
        with transaction.atomic():
            policy = PrivacyPolicy.objects.create(
                version=version, url=url, in_force_from=in_force_from, created_by=by, created_at=now()
            )
            audit_record(action="consent.policy.added", actor=by, subject=policy, data={"version": version})
    except IntegrityError:
        raise Conflict("policy_there", f"There is a privacy policy {version} already") from None
    return policy


# --- writing ---


def version_digest(version: WordingVersion) -> str:
    """The digest of a version as it is stored now: what others agree to."""
    return _digest(version.wording, version.texts, version.material, version.holds_until)


def _digest(wording: Wording, texts: Mapping[str, str], material: bool, holds_until: datetime | None) -> str:
    until = holds_until.isoformat() if holds_until is not None else None
    bound = [wording.purpose_id, wording.channel, texts, material, until]
    return sha256(json.dumps(bound, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def wording_create(
    *,
    by: User,
    purpose: str,
    channel: str,
    texts: Mapping[str, str],
    material: bool = False,
    holds_until: datetime | None = None,
    why: str = "",
) -> Wording:
    """A wording with its first version. channel "": for every channel without one of its own.

    material: whether those who agreed before there was a wording must be asked again.
    Raises NotAllowed, Invalid for a text that can't be, Conflict where there is a wording for this already.
    """
    right_require(by, "add", Wording, what="write wordings")
    asked = Purpose.objects.filter(pk=purpose, needs_consent=True).exists()
    if not asked or channel not in ("", *Channel.values):
        raise Invalid("wording_refused", "Nobody is asked to agree to that: choose a purpose that needs consent")
    try:
        with transaction.atomic():
            wording = Wording.objects.create(purpose_id=purpose, channel=channel)
            audit_record(action="consent.wording.created", actor=by, subject=wording)
            _version_add(wording, by, texts, material, holds_until, why)
    except IntegrityError:
        raise Conflict("wording_there", "There is a wording for this already: open that one") from None
    return wording


def wording_version_create(
    *,
    wording_id: int,
    by: User,
    texts: Mapping[str, str],
    material: bool,
    holds_until: datetime | None = None,
    base: int | None = None,
    why: str = "",
) -> WordingVersion:
    """What a wording says from now on, once others agreed and it is published. Voids approvals of what is not.

    base: number of the version that was edited. Raises NotAllowed, NotFound, Invalid for a text that can't be,
    Conflict when somebody made a newer version meanwhile.
    """
    with transaction.atomic():
        wording = Wording.objects.select_for_update(no_key=True).filter(pk=wording_id).first()
        if wording is None:
            raise NotFound("wording_unknown", "There is no such wording")
        right_require(by, "change", wording, what="change this wording")
        newest = wording.versions.order_by("-number").first()
        if base is not None and newest is not None and newest.number != base:
            raise Conflict(
                "wording_changed_meanwhile",
                f"Somebody saved version {newest.number} meanwhile: look at it, then enter your change again",
            )
        return _version_add(wording, by, texts, material, holds_until, why)


def _version_add(
    wording: Wording,
    by: User,
    texts: Mapping[str, str],
    material: bool,
    holds_until: datetime | None,
    why: str,
) -> WordingVersion:
    kept = {locale: _tidy(text) for locale, text in texts.items() if not is_blank(text)}
    problems = [
        {"where": locale, "line": 0, "token": "", "mend": problem} for locale, problem in _problems(kept).items()
    ]
    if problems:
        raise Invalid("wording_refused", str(problems[0]["mend"]), {"problems": problems})
    holds_until = holds_until if material else None
    newest = wording.versions.order_by("-number").first()
    digest = _digest(wording, kept, material, holds_until)
    if newest is not None and (newest.digest == digest or _says_that_already(newest, kept, material)):
        return newest
    head_edited(head=wording, by=by, why="The wording was changed")
    version = WordingVersion.objects.create(
        wording=wording,
        number=newest.number + 1 if newest is not None else 1,
        texts=kept,
        material=material,
        holds_until=holds_until,
        digest=digest,
        why=why.strip()[:400],
        created_by=by,
    )
    wording.updated_at = now()
    wording.save(update_fields=["updated_at"])
    audit_record(
        action="consent.wording.version_made",
        actor=by,
        subject=wording,
        data={"number": version.number, "digest": digest, "material": material},
    )
    return version


def _says_that_already(newest: WordingVersion, texts: Mapping[str, str], material: bool) -> bool:
    """Whether a published version has these texts: none but a new meaning could be new in it."""
    return not material and newest.texts == texts and version_state(newest) == State.PUBLISHED


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _problems(texts: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if settings.LANGUAGE_CODE not in texts:
        found[settings.LANGUAGE_CODE] = "Write it in this language at least: who reads none of the others is shown it"
    for locale, text in texts.items():
        if not _LANGUAGE.fullmatch(locale) or len(locale) > 20:
            found[locale] = f"{locale!r} is no language tag"
        elif len(text) > LONGEST:
            found[locale] = f"At most {LONGEST} characters: this has {len(text)}"
        elif any(ord(character) < 32 and character != "\n" for character in text):
            found[locale] = "There are control characters in it: type it anew"
    return found


# --- published and withdrawn ---


def wording_published(wording: Wording, version: WordingVersion, by: User) -> None:
    """Put its texts before people, in the transaction that publishes it.

    No gate is open meanwhile: so no message enters `sending` by what this version no longer lets hold.
    """
    gates_hold()
    at = now()
    live = WordingText.objects.filter(purpose_id=wording.purpose_id, channel=wording.channel, shown_until=None)
    live.update(shown_until=at)
    asks_from = None
    if version.material:
        asks_from = max(at, version.holds_until) if version.holds_until is not None else at
    WordingText.objects.bulk_create(
        WordingText(
            version=version,
            purpose_id=wording.purpose_id,
            channel=wording.channel,
            locale=locale,
            text=text,
            digest=text_digest(text),
            published_at=at,
            asks_from=asks_from,
        )
        for locale, text in version.texts.items()
    )


def wording_withdrawn(wording: Wording, version: WordingVersion, by: User) -> dict[str, Any]:
    """Show it no more, and ask nobody because of it: a text that should not have been published is no reason to."""
    gates_hold()
    WordingText.objects.filter(version=version).update(asks_from=None)
    WordingText.objects.filter(version=version, shown_until=None).update(shown_until=now())
    return {"asks": version.material}
