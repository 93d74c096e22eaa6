"""Makes what tests need, with defaults that are whole. Plain functions; each says what matters by its arguments."""

from collections.abc import Iterable
from importlib import import_module
from itertools import count
from typing import Any

from django.apps import apps
from guardian.shortcuts import assign_perm

from apps.data.consent.models import Action, Channel, ConsentRecord, ConsentState, Gate, Purpose
from apps.data.profiles.addresses import holders_of, identifier_put, identifiers_read
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import keys_make, vault_open
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Block, Brand, Market
from apps.decisioning.content.services import block_create, block_type_create, brand_create, template_create
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept, decision_seal, decisions_open
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.ready_made import ready_made_copy
from apps.decisioning.playbooks.rights import SHARED
from apps.decisioning.playbooks.services import playbook_create, playbook_publish, playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import user_create
from apps.foundation.core.clock import now
from apps.foundation.governance.models import Approval, ApprovalPath, Review
from apps.foundation.governance.services import review_answer
from tests.remembering import is_remembered, remembered

_number = count(1)


def make_purposes() -> None:
    """The purposes that a migration brings, also after a test that emptied the tables."""
    if Purpose.objects.exists():
        return
    import_module("apps.data.consent.migrations.0002_purposes").purposes_add(apps, None)
    import_module("apps.data.consent.migrations.0009_purposes_ask").purposes_ask(apps, None)


def make_paths() -> None:
    """The approval paths that a migration brings, also after a test that emptied the tables."""
    if ApprovalPath.objects.exists():
        return
    import_module("apps.decisioning.content.migrations.0010_approval_paths").paths_add(apps, None)


def make_user(role: str = "local_editor", *, markets: Iterable[Market] = (), **fields: str) -> User:
    """A member of staff with one role, who works in these markets."""
    number = next(_number)
    user = user_create(
        email=fields.get("email", f"{role}-{number}@staff.example"),
        password="a long enough password",
        role=role,
        first_name=fields.get("first_name", role.replace("_", " ").title()),
    )
    for market in markets:
        assign_perm("content.edit_market", user, market)
    return user


def _free(model: type[Block] | type[Brand], field: str, start: str) -> str:
    """A name that none has yet, as low as can be: what was tried under the same name is known already.

    Those that are remembered have names that come only once, so that they can be put back beside any others.
    """
    if is_remembered():
        return f"{start}r{next(_number)}"
    rows = model._default_manager.filter(**{f"{field}__startswith": start})
    taken = set(rows.values_list(field, flat=True))
    return next(name for name in (f"{start}{number}" for number in count(1)) if name not in taken)


def make_market(code: str = "", *, languages: Iterable[str] = ("en",)) -> Market:
    """A market; without a code one of its own."""
    code = code or f"market-{next(_number)}"
    return Market.objects.create(code=code, name=code.title(), languages=list(languages))


def make_profile(*, email: str | None = "", consent: tuple[str, ...] = (), **fields: object) -> Profile:
    """A customer with a main address (email=None for none) and e-mail consent for the purposes named."""
    number = next(_number)
    profile = Profile.objects.create(**fields)
    if email is not None:
        value = email or f"customer-{number}@example.com"
        identifier_put(profile_id=profile.pk, kind="email", value=value)
    if consent:
        make_purposes()
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


def identifiers_of(profile: Profile) -> list[tuple[str, str | None, bool]]:
    """By what a person is known: kind, value, whether it is the main one of its kind; in that order."""
    return sorted((one.kind, one.value, one.main) for one in identifiers_read(profile_id=profile.pk))


def known_by(kind: str, value: str) -> Profile:
    """The one person who is known by this."""
    [profile_id] = holders_of(kind=kind, value=value)
    return Profile.objects.get(pk=profile_id)


_MJML = """<mjml><mj-head><mj-title>[[ brand.name ]]</mj-title></mj-head><mj-body>
<mj-section><mj-column><mj-text>Hello {{ profile.first_name | fallback("friend") }}</mj-text></mj-column></mj-section>
[[ slot:hero ]]
[[ slot:products ]]
<mj-section><mj-column><mj-text>[[ brand.postal_address ]]
<a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text></mj-column></mj-section></mj-body></mjml>"""
_TEXT = """Hello {{ profile.first_name | fallback("friend") }}

[[ slot:hero ]]

[[ slot:products ]]

[[ brand.postal_address ]]
{{ links.unsubscribe }}
"""
_SECTION = "<mj-section><mj-column>{}</mj-column></mj-section>"
_LOOP = "{% for item in [[ items ]] %}<mj-text>{{ item.title }}</mj-text>{% endfor %}"
_TIERS = [("category", "category"), ("country", "country"), ("site", "shop")]
_GERMAN = {"attribute": "country", "in": ["DE", "AT", "CH"]}


def make_brand(*, by: User | None = None) -> Brand:
    """A brand: Tea & Co."""
    number = next(_number)
    return brand_create(
        by=by or User.objects.create_superuser(f"brand-{number}@staff.example", "a long enough password"),
        code=_free(Brand, "code", "tea-"),
        name="Tea & Co",
        from_name="Tea & Co",
        from_email="hello@tea.example",
        postal_address="1 Tea Lane, London",
        shop_url="https://tea.example/",
        link_hosts=["tea.example"],
    )


@remembered
def make_playbook(*, by: User | None = None, **fields: Any) -> Playbook:
    """A playbook that can be handed in: two heroes by country, three products by tiers, for everybody."""
    number = next(_number)
    make_purposes()
    make_paths()
    root = User.objects.create_superuser(f"content-{number}@staff.example", "a long enough password")
    brand = make_brand(by=root)
    words = block_type_create(
        by=root,
        code=f"words-{number}",
        name="Words",
        fields=[{"name": "words", "label": "Words", "kind": "text", "max_length": 200}],
        layout=_SECTION.format("<mj-text>[[ words ]]</mj-text>"),
        text_layout="[[ words ]]",
    )
    items = block_type_create(
        by=root,
        code=f"items-{number}",
        name="Items",
        fields=[{"name": "items", "label": "Items", "kind": "products"}],
        layout=_SECTION.format(_LOOP),
        text_layout="{% for item in [[ items ]] %}{{ item.title }}\n{% endfor %}",
    )

    def block(name: str, english: str, german: str) -> int:
        content = {"en": {"words": english}, "de": {"words": german}}
        return block_create(by=root, name=_free(Block, "name", f"{name} "), type_id=words.pk, content=content).pk

    german, anywhere = block("German", "Free delivery", "Versand gratis"), block("Anywhere", "New teas", "Neue Tees")
    nothing = block("No products", "Look around in our shop", "Sieh dich um")
    three = block_create(
        by=root, name=_free(Block, "name", "Three "), type_id=items.pk, content={"en": {}, "de": {}}
    ).pk
    template = template_create(
        by=root, code=f"news-{number}", name="News", subject="News from [[ brand.name ]]", mjml=_MJML, text=_TEXT
    )
    audience = Audience.objects.create(name=f"Everybody {number}", rule={"all": []}, owner=root)
    slots = {
        "hero": [
            {"tier": "segment", "name": "German speaking", "block": german, "when": _GERMAN},
            {"tier": "static", "block": anywhere},
        ],
        "products": [
            *({"tier": tier, "block": three, "source": source, "count": 3} for tier, source in _TIERS),
            {"tier": "static", "block": nothing},
        ],
    }
    values: dict[str, Any] = {
        "code": f"news-{number}",
        "name": f"News {number}",
        "audience": audience,
        "brand": brand,
        "template": template,
        "slots": slots,
        "approval_path": ["brand_approver"],
    }
    return playbook_create(by=by or make_user("publisher"), **{**values, **fields})


def approve(version: PlaybookVersion) -> PlaybookVersion:
    """Have others agree to a version that was handed in."""
    agree(Review.objects.get(object_id=version.pk, content_type__model="playbookversion", state=Review.State.OPEN))
    version.refresh_from_db()
    return version


def put_sealed(decisions: Iterable[tuple[Decision, Kept]]) -> list[Decision]:
    """Write decisions, what each keeps sealed with its person's key, as the deciding of a batch does."""
    rows = list(decisions)
    people = [decision.profile_id for decision, _ in rows]
    keys_make(people)
    vault = vault_open(people)
    for decision, kept in rows:
        decision.sealed = decision_seal(vault, decision_id=decision.pk, profile_id=decision.profile_id, kept=kept)
    return Decision.objects.bulk_create([decision for decision, _ in rows])


def kept_by(decision: Decision) -> Kept:
    """What a decision keeps, opened."""
    kept = decisions_open([decision])[decision.pk]
    assert kept is not None, "the person was erased"
    return kept


def make_helper(playbook: Playbook) -> User:
    """A publisher with whom the owner of a playbook shares it."""
    helper = make_user("publisher")
    for right in SHARED:
        assign_perm(right, helper, playbook)
    return helper


@remembered
def make_published(**fields: Any) -> Playbook:
    """A playbook that was handed in, approved by others and published."""
    playbook = make_playbook(**fields)
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=version.pk, by=playbook.owner)
    playbook.refresh_from_db()
    return playbook


def make_system_mail(code: str) -> Playbook:
    """A ready-made system mail, taken as it is and published. code: such as system_link."""
    make_purposes()
    make_paths()
    root = User.objects.create_superuser(f"mail-{next(_number)}@staff.example", "a long enough password")
    playbook = ready_made_copy(code=code, brand=make_brand(by=root), name="", by=root)
    playbook_publish(version_id=approve(playbook_submit(playbook_id=playbook.pk, by=root)).pk, by=root)
    playbook.refresh_from_db()
    return playbook


def make_digest() -> Playbook:
    """A published digest."""
    return make_system_mail("system_digest")


@remembered
def make_block(*, by: User | None = None, tags: tuple[str, ...] = (), words: str = "New teas", **fields: Any) -> Block:
    """A block of one line of text, a draft."""
    number = next(_number)
    make_paths()
    root = User.objects.create_superuser(f"types-{number}@staff.example", "a long enough password")
    kind = block_type_create(
        by=root,
        code=f"line-{number}",
        name="Line",
        fields=[{"name": "words", "label": "Words", "kind": "text", "max_length": 200}],
        layout=_SECTION.format("<mj-text>[[ words ]]</mj-text>"),
        text_layout="[[ words ]]",
    )
    values: dict[str, Any] = {"content": {"en": {"words": words}}, "tags": list(tags)}
    values["name"] = fields.get("name") or _free(Block, "name", "Line ")
    return block_create(by=by or root, type_id=kind.pk, **{**values, **fields})


def agree(review: Review) -> Review:
    """Have others agree to a review, role by role in its order."""
    for role in review.roles:
        review_answer(review_id=review.pk, by=make_user(role), verdict=Approval.Verdict.APPROVE)
    review.refresh_from_db()
    return review
