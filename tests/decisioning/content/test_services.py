"""Writing content: who may, what is refused, what is audited, and that versions stand."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.decisioning.content import services
from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.models import (
    Block,
    BlockType,
    BlockVersion,
    Brand,
    CompiledTemplate,
    Template,
    TemplateVersion,
)
from apps.decisioning.content.rendering import conditions_count, render
from apps.decisioning.content.selectors import compiled_load
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_user

from .corpus import template as template_source
from .making import Sample, brand_spec, tier

pytestmark = pytest.mark.django_db
LINKS = {"unsubscribe": "https://links.example/u/k1.x", "preferences": "https://links.example/p/k1.x"}
HERO = {"eyebrow": "New", "headline": "Hi", "body": "<p>Text</p>", "button": "Go", "link": "https://shop.example/"}
MODELS = (Brand, BlockType, Block, BlockVersion, Template, TemplateVersion, CompiledTemplate, AuditEntry)


def everything() -> list[list[Any]]:
    return [list(model._default_manager.order_by("pk").values()) for model in MODELS]


def compile_(sample: Sample, **changes: Any) -> dict[str, int]:
    return services.message_compile(
        **{
            "template_version_id": sample.template_version.pk,
            "brand": brand_spec(sample.brand),
            "slots": sample.slots(),
            "languages": ["en", "de", "fr"],
            **changes,
        }
    )


def test_the_sample_shop_compiles_in_three_languages_and_greets(sample: Sample) -> None:
    ids = compile_(sample)

    hero = {"block": str(sample.version("Hero: German-speaking").pk), "tier": "country"}
    out = render(compiled_load(ids["de"]), {"profile": {"first_name": "Zoë"}, "slots": {"hero": hero}, "links": LINKS})

    assert out.subject == "Zoë, drei Dinge für dein Zuhause"
    assert "Aus Hamburg, in zwei Tagen bei dir" in out.html
    assert "Hallo Zoë, unser neues Lager" in out.text
    assert "Was wir versprechen" in out.text  # nobody has products for this person
    assert sample.brand.postal_address.replace("&", "&amp;") in out.html
    assert CompiledTemplate.objects.get(pk=ids["de"]).tokens == ["first_name"]


def test_compiling_again_gives_the_same_rows(sample: Sample) -> None:
    assert compile_(sample) == compile_(sample)
    assert CompiledTemplate.objects.count() == 3


def test_a_region_gets_the_text_of_its_language(sample: Sample) -> None:
    ids = compile_(sample, languages=["de-AT", "de"])

    assert compiled_load(ids["de-AT"]).text == compiled_load(ids["de"]).text


def test_compiled_rows_are_pinned_when_a_block_changes(sample: Sample) -> None:
    slots, before = sample.slots(), compile_(sample)
    block = sample.blocks["Hero: everybody"]
    services.block_version_create(block_id=block.pk, content={"en": HERO}, by=sample.editor)

    assert compile_(sample, slots=slots) == before
    assert compile_(sample) != before


def _without(slots: dict[str, Any], name: str) -> dict[str, Any]:
    return {slot: tiers for slot, tiers in slots.items() if slot != name}


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        (lambda s, v: _without(s, "hero"), "must end in a static tier"),
        (lambda s, v: {**s, "hero": []}, "must end in a static tier"),
        (lambda s, v: {**s, "hero": s["hero"][:-1]}, "must end in a static tier"),
        (lambda s, v: {**s, "hero": [tier("static", v("Hero: everybody"), when=True)]}, "has no condition"),
        (lambda s, v: {**s, "hero": [s["hero"][-1], *s["hero"]]}, "has no condition and stands last"),
        (lambda s, v: {**s, "hero": [tier("country", v("Hero: everybody")), s["hero"][-1]]}, "needs a condition"),
        (lambda s, v: {**s, "side": s["hero"]}, "not in the template"),
        (lambda s, v: {**s, "hero": [{**s["hero"][-1], "block_version": 0}]}, "no version of a block"),
        (lambda s, v: {**s, "products": [tier("static", v("Picks: for you"))]}, "shows products"),
        (
            lambda s, v: {**s, "products": [tier("site", v("Our promise"), source="shop"), s["products"][-1]]},
            "shows none",
        ),
        (
            lambda s, v: {**s, "products": [{**s["products"][0], "count": 0}, s["products"][-1]]},
            "set count",
        ),
        (lambda s, v: {**s, "hero": [tier("static", v("Subject: for your home"))]}, "is empty"),
        (lambda s, v: {**s, "legal": [tier("static", v("Our promise"))]}, "is missing"),
        (
            lambda s, v: {
                **s,
                "legal": [tier("country", v("Legal footer"), when=True), tier("static", v("Our promise"))],
            },
            "outside of any condition",
        ),
    ],
)
def test_slots_that_could_stay_empty_are_refused(
    sample: Sample, change: Callable[[dict[str, Any], Any], dict[str, Any]], mend: str
) -> None:
    before = everything()

    with pytest.raises(Invalid) as error:
        compile_(sample, slots=change(sample.slots(), sample.version))

    assert error.value.code == "message_refused"
    assert any(mend in problem["mend"] for problem in error.value.extra["problems"]), error.value.extra
    assert everything() == before


def test_a_link_to_a_host_that_the_brand_lacks_is_refused_at_publish(sample: Sample) -> None:
    brand = {**brand_spec(sample.brand), "link_hosts": ["other.example"], "shop_url": "https://other.example/"}

    with pytest.raises(Invalid) as error:
        compile_(sample, brand=brand)

    assert any("shop.example" in problem["mend"] for problem in error.value.extra["problems"])


def test_a_version_that_does_not_exist_is_not_found(sample: Sample) -> None:
    with pytest.raises(NotFound):
        compile_(sample, template_version_id=0)


def test_equal_content_is_the_same_version_and_a_change_is_a_new_one(sample: Sample) -> None:
    block = sample.blocks["Hero: everybody"]
    first = sample.version("Hero: everybody")

    again = services.block_version_create(block_id=block.pk, content=first.content, by=sample.editor)
    second = services.block_version_create(block_id=block.pk, content={"en": HERO}, by=sample.editor, base=1)

    assert (again.pk, again.number) == (first.pk, 1)
    assert (second.number, second.content) == (2, {"en": HERO})
    assert AuditEntry.objects.filter(action="content.block.version_made", object_id=str(block.pk)).count() == 2


def test_a_block_that_somebody_else_changed_is_a_conflict(sample: Sample) -> None:
    block = sample.blocks["Hero: everybody"]
    services.block_version_create(block_id=block.pk, content={"en": HERO}, by=sample.editor, base=1)

    with pytest.raises(Conflict):
        services.block_version_create(
            block_id=block.pk, content={"en": {**HERO, "headline": "X"}}, by=sample.editor, base=1
        )

    assert sample.version("Hero: everybody").content == {"en": HERO}


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"headline": ""}, "is required"),
        ({"headline": "None"}, "read as empty"),
        ({"headline": "\u200b"}, "read as empty"),
        ({"headline": "x" * 71}, "has 71 characters"),
        ({"headline": "two\nlines"}, "one line"),
        ({"headline": 7}, "must be a text"),
        ({"headline": "a\x00b"}, "control characters"),
        ({"headline": "{{ profile.first_name }}"}, "may be blank"),
        ({"headline": "{% if profile.a %}x{% endif %}"}, "no logic"),
        ({"headline": "{{ profile.first_name"}, "is not closed"),
        ({"headline": "{{ item.title }}"}, "not known"),
        ({"body": "<script>x</script>"}, "is required"),
        ({"body": '<a href="http://shop.example/">x</a>'}, "not encrypted"),
        ({"body": '<a href="javascript:x">x</a>'}, "not a web address"),
        ({"link": "shop.example"}, "not a web address"),
        ({"link": "http://shop.example/"}, "not encrypted"),
        ({"link": ""}, "is required"),
        ({"button_colour": "#000000"}, "is fixed"),
        ({"nothing": "x"}, "is not a field"),
    ],
)
def test_a_field_out_of_its_limits_is_refused(sample: Sample, values: dict[str, Any], mend: str) -> None:
    before = everything()

    with pytest.raises(Invalid) as error:
        services.block_version_create(
            block_id=sample.blocks["Hero: everybody"].pk, content={"en": {**HERO, **values}}, by=sample.editor
        )

    assert any(mend in problem["mend"] for problem in error.value.extra["problems"]), error.value.extra
    assert everything() == before


@pytest.mark.parametrize("content", [{}, {"english": HERO}, {"en": []}, [HERO], {"en": {}}])
def test_content_of_a_wrong_shape_is_refused(sample: Sample, content: Any) -> None:
    with pytest.raises(Invalid):
        services.block_version_create(block_id=sample.blocks["Hero: everybody"].pk, content=content, by=sample.editor)


@pytest.mark.parametrize(
    ("fields", "mend"),
    [
        ("x", "must be a list"),
        (["x"], "must be an object"),
        ([{"name": "A b", "label": "x", "kind": "text"}], "lower-case"),
        ([{"name": "a", "label": "x", "kind": "video"}], "kind must be"),
        ([{"name": "a", "kind": "text"}, {"name": "a", "kind": "text"}], "is taken"),
        ([{"name": "a", "kind": "choice"}], "needs choices"),
        ([{"name": "a", "kind": "text", "max_length": "x"}], "must be a number from 1 to 5,000"),
        ([{"name": "a", "kind": "text", "fixed": True}], "is required"),
        ([{"name": "a", "kind": "colour", "fixed": True, "value": "red;}"}], "must be a colour"),
        ([{"name": "a", "kind": "text", "value": "x"}], "only a fixed field"),
        ([{"name": "a", "kind": "text", "size": 3}], "is not known"),
        ([{"name": "a", "kind": "link", "required": False}], "always required"),
    ],
)
def test_a_declaration_that_is_wrong_is_refused(fields: Any, mend: str) -> None:
    with pytest.raises(Invalid) as error:
        services.block_type_create(
            by=make_user("engineer"), code="x", name="X", fields=fields, layout="", text_layout="Hello"
        )

    assert any(mend in problem["mend"] for problem in error.value.extra["problems"]), error.value.extra
    assert not BlockType.objects.filter(code="x").exists()


def test_a_changed_type_leaves_versions_as_they_were(sample: Sample) -> None:
    block = sample.blocks["Hero: everybody"]
    version = sample.version("Hero: everybody")
    fields = [{**f, "value": "#ffffff"} if f["name"] == "button_colour" else f for f in block.type.fields]

    services.block_type_update(block_type_id=block.type_id, by=sample.engineer, fields=fields)
    again = services.block_version_create(block_id=block.pk, content=version.content, by=sample.editor)

    version.refresh_from_db()
    assert version.fields[-1]["value"] == "#f3ece0"
    assert (again.number, again.fields[-1]["value"]) == (2, "#ffffff")


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"postal_address": " "}, "is needed"),
        ({"postal_address": "a\nb"}, "is needed"),
        ({"from_email": "x"}, "not an e-mail"),
        ({"link_hosts": ["https://shop.example"]}, "host names"),
        ({"link_hosts": []}, "host names"),
        ({"shop_url": "https://other.example/"}, "other.example"),
        ({"shop_url": "javascript:x"}, "not a web address"),
        ({"colours": {"ink": "red"}}, "colours"),
        ({"default_language": "english"}, "language tag"),
    ],
)
def test_a_brand_that_is_wrong_is_refused(sample: Sample, values: dict[str, Any], mend: str) -> None:
    before = everything()

    with pytest.raises(Invalid) as error:
        services.brand_update(brand_id=sample.brand.pk, by=sample.administrator, **values)

    assert any(mend in str(problem) for problem in error.value.extra["problems"]), error.value.extra
    assert everything() == before


def test_a_brand_is_changed_and_audited(sample: Sample) -> None:
    services.brand_update(brand_id=sample.brand.pk, by=sample.administrator, name="Harbour", from_name="Harbour & Pine")

    entry = AuditEntry.objects.get(action="content.brand.changed")
    assert (entry.actor, entry.data) == (sample.administrator, {"changed": ["name"]})


def test_a_template_with_problems_makes_no_version(sample: Sample) -> None:
    bad = template_source("{{ profile.a }}")
    before = everything()

    with pytest.raises(Invalid) as error:
        services.template_version_create(
            template_id=sample.template.pk, subject=bad.subject, mjml=bad.mjml, text=bad.text, by=sample.engineer
        )

    assert error.value.code == "template_refused"
    assert error.value.extra["problems"] == [
        {
            "where": "mjml",
            "line": 2,
            "token": "{{ profile.a }}",
            "mend": 'may be blank: end it with | fallback("a text that always fits")',
        }
    ]
    assert everything() == before


def test_taken_names_are_conflicts(sample: Sample) -> None:
    block = sample.blocks["Hero: everybody"]
    good = template_source()
    spec = {**brand_spec(sample.brand)}

    with pytest.raises(Conflict):
        services.block_create(by=sample.engineer, name=block.name, type_id=block.type_id, content={"en": HERO})
    with pytest.raises(Conflict):
        services.block_update(block_id=block.pk, by=sample.editor, name="Legal footer")
    with pytest.raises(Conflict):
        services.template_create(
            by=sample.engineer, code="weekly_picks", name="X", subject=good.subject, mjml=good.mjml, text=good.text
        )
    with pytest.raises(Conflict):
        services.brand_create(by=sample.administrator, **spec)  # type: ignore[arg-type]


_CENTRAL = {"block_type_create", "block_type_update", "block_create", "block_update", "block_version_create"}
MAY = {
    "administrator": {"brand_create", "brand_update", *_CENTRAL},
    "engineer": {
        *_CENTRAL,
        "template_create",
        "template_update",
        "template_version_create",
    },
    "local_editor": {"block_create", "block_version_create"},
    "analyst": set(),
    "publisher": {"block_create", "block_version_create"},
    "brand_approver": set(),
    "legal_approver": set(),
}


def _calls(sample: Sample) -> dict[str, dict[str, Any]]:
    block, good = sample.blocks["Hero: everybody"], template_source()
    sources = {"subject": good.subject, "mjml": good.mjml, "text": good.text}
    return {
        "brand_create": {**brand_spec(sample.brand), "code": "other"},
        "brand_update": {"brand_id": sample.brand.pk, "name": "Other"},
        "block_type_create": {"code": "other", "name": "Other", "text_layout": "Hi"},
        "block_type_update": {"block_type_id": block.type_id, "name": "Other"},
        "block_create": {"name": "Other", "type_id": block.type_id, "content": {"en": HERO}, "market": sample.market},
        "block_update": {"block_id": block.pk, "name": "Other block"},
        "block_version_create": {"block_id": block.pk, "content": {"en": HERO}},
        "template_create": {"code": "other", "name": "Other", **sources},
        "template_update": {"template_id": sample.template.pk, "name": "Other"},
        "template_version_create": {"template_id": sample.template.pk, **sources},
    }


@pytest.mark.parametrize("role", MAY)
def test_each_role_writes_what_it_may_and_a_denial_changes_nothing(sample: Sample, role: str) -> None:
    user = make_user(role, markets=[sample.market])
    done = set()
    for name, arguments in _calls(sample).items():
        before = everything()
        try:
            getattr(services, name)(by=user, **arguments)
        except NotAllowed:
            assert everything() == before
        else:
            assert everything() != before
            done.add(name)

    assert done == MAY[role]


def test_a_message_with_more_conditions_than_it_may_have_is_refused_and_nothing_is_compiled(sample: Sample) -> None:
    compile_(sample)
    [counted] = {conditions_count(compiled_load(pk)) for pk in compile_(sample).values()}
    assert compile_(sample, conditions=counted).keys() == {"en", "de", "fr"}
    CompiledTemplate.objects.all().delete()

    with pytest.raises(Invalid) as refused:
        compile_(sample, conditions=counted - 1)

    assert (refused.value.code, len(refused.value.extra["problems"])) == ("message_refused", 3)
    assert f"has {counted} conditions, and a bulk message may have {counted - 1}" in refused.value.message
    assert not CompiledTemplate.objects.exists()


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("Hello", 0),
        ("{% if profile.first_name == 'A' %}a{% elif profile.first_name == 'B' %}b{% else %}c{% endif %}", 2),
        ("{{ 'a' if profile.first_name == 'A' else 'b' }}", 1),
        ("{% for item in slots.main.items if item.title == 'A' %}{{ item.title }}{% endfor %}", 1),
        ('{% if slots.main.block == "7" and slots.main.items %}x{% elif slots.main.block == "8" %}y{% endif %}', 0),
        ('{% if profile.first_name == "7" and slots.main.block == "8" %}x{% endif %}', 1),
    ],
)
def test_what_people_ask_is_counted_and_the_choice_of_a_block_is_not(source: str, count: int) -> None:
    compiled = CompiledSources.of(
        language="en", subject="Hi", html=source, text="", tokens=[], link_hosts=[], shop_url="https://shop.example/"
    )
    assert conditions_count(compiled) == count
