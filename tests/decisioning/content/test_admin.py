"""Content in the admin: what each role sees and does, and that a refusal is told at its field."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.decisioning.content.models import Block, BlockType, BlockVersion, Brand, Persona, Template, TemplateVersion
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_block, make_user

from .making import Sample, brand_spec, superuser

pytestmark = pytest.mark.django_db
PAGES = ("brand", "blocktype", "block", "template")
EDITS = {
    "administrator": {"brand", "block", "blocktype"},
    "engineer": {"block", "blocktype", "template"},
    "local_editor": {"block"},
    "analyst": set(),
    "publisher": {"block"},
    "brand_approver": set(),
    "legal_approver": set(),
}
ROLES = [role if role in ("administrator", "local_editor", "analyst") else pytest.param(role, marks=pytest.mark.slow)
         for role in EDITS]  # fmt: skip
"""One who edits most, one who edits some and one who edits none; all of them are tried at each door elsewhere."""


def page(client: Client, user: User, path: str, data: dict[str, Any] | None = None) -> Any:
    client.force_login(user)
    return client.get(path) if data is None else client.post(path, data)


def change(obj: Any) -> str:
    return reverse(f"admin:content_{obj._meta.model_name}_change", args=[obj.pk])


def block_data(sample: Sample, **changes: Any) -> dict[str, Any]:
    version = sample.version("Hero: everybody")
    data = {
        "name": "Hero: everybody",
        "tier": "campaign",
        "market": sample.market.pk,
        "tags_line": "hero",
        "base": version.number,
    }
    for language, values in version.content.items():
        data |= {f"content__{language}__{name}": value for name, value in values.items()}
    return {**data, **changes}


def template_data(sample: Sample, **changes: Any) -> dict[str, Any]:
    version = sample.template_version
    sources = {"subject": version.subject, "mjml": version.mjml, "text": version.text}
    return {"name": sample.template.name, "base": version.number, **sources, **changes}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_all_and_edits_its_own(client: Client, sample: Sample, role: str) -> None:
    user = make_user(role, markets=[sample.market])
    for name in PAGES:
        obj = {"brand": Brand, "blocktype": BlockType, "block": Block, "template": Template}[name]
        row = obj._default_manager.order_by("pk")[0]
        may = name in EDITS[role]

        assert page(client, user, reverse(f"admin:content_{name}_changelist")).status_code == 200
        shown = page(client, user, change(row))
        assert shown.status_code == 200
        assert (b'name="_save"' in shown.content) is may
        assert page(client, user, reverse(f"admin:content_{name}_add")).status_code == (200 if may else 403)
        before = [list(model._default_manager.values()) for model in (Brand, BlockType, Block, BlockVersion, Template)]
        if not may:
            assert page(client, user, change(row), {"name": "Taken over"}).status_code == 403
        assert (
            page(client, user, reverse(f"admin:content_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code
            == 403
        )
        after = [list(model._default_manager.values()) for model in (Brand, BlockType, Block, BlockVersion, Template)]
        assert after == before


def test_an_editor_saves_a_new_version(client: Client, sample: Sample) -> None:
    block = sample.blocks["Hero: everybody"]

    answer = page(
        client, sample.editor, change(block), block_data(sample, content__en__headline="Small things", tags_line="a, b")
    )

    assert answer.status_code == 302
    version = sample.version("Hero: everybody")
    assert (version.number, version.content["en"]["headline"], version.created_by) == (2, "Small things", sample.editor)
    assert version.content["de"] == BlockVersion.objects.get(block=block, number=1).content["de"]
    block.refresh_from_db()
    assert block.tags == ["a", "b"]
    assert AuditEntry.objects.filter(action="content.block.version_made", object_id=str(block.pk)).count() == 2


def test_a_fixed_field_can_not_be_changed_by_the_form(client: Client, sample: Sample) -> None:
    data = block_data(sample, content__en__button_colour="#000000", content__en__headline="Small things")

    answer = page(client, sample.editor, change(sample.blocks["Hero: everybody"]), data)

    assert answer.status_code == 302
    version = sample.version("Hero: everybody")
    assert "button_colour" not in version.content["en"]
    assert next(f for f in version.fields if f["name"] == "button_colour")["value"] == "#f3ece0"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("content__en__headline", "x" * 71, "Has 71 characters, 70 are allowed"),
        ("content__en__headline", "", "Is required"),
        ("content__de__headline", "{{ profile.first_name }}", "may be blank"),
        ("content__en__link", "http://shop.example/", "Is not encrypted"),
        ("name", "Legal footer", "in use already"),
        ("base", "7", "meanwhile"),
    ],
)
def test_what_the_service_refuses_is_told_at_the_field(
    client: Client, sample: Sample, name: str, value: str, words: str
) -> None:
    before = list(BlockVersion.objects.values())

    answer = page(client, sample.editor, change(sample.blocks["Hero: everybody"]), block_data(sample, **{name: value}))

    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    field = name if name.startswith("content__") else "__all__"
    assert any(words in message for message in errors[field]), errors
    assert list(BlockVersion.objects.values()) == before
    assert set(Block.objects.values_list("name", flat=True)) == set(sample.blocks)


def test_a_new_block_begins_with_its_kind(client: Client, sample: Sample) -> None:
    add = reverse("admin:content_block_add")
    kind = BlockType.objects.get(code="note")

    assert b"What kind of block?" in page(client, sample.editor, add).content
    data = {"name": "Thanks", "tier": "campaign", "tags_line": "", "content__en__body": "<p>Thank you</p>"}
    data["market"] = str(sample.market.pk)
    answer = page(client, sample.editor, f"{add}?type={kind.pk}", data)

    assert answer.status_code == 302
    block = Block.objects.get(name="Thanks")
    assert (block.owner, block.versions.get().content) == (sample.editor, {"en": {"body": "<p>Thank you</p>"}})


def test_help_of_a_field_is_text_and_no_markup(client: Client, sample: Sample) -> None:
    kind = BlockType.objects.get(code="note")
    BlockType.objects.filter(pk=kind.pk).update(fields=[{**kind.fields[0], "help": "<script>x</script>"}])

    shown = page(client, sample.engineer, change(sample.blocks["Our promise, in short"])).content.decode()

    assert "<script>x</script>" not in shown
    assert "&lt;script&gt;x&lt;/script&gt;" in shown


def preview(client: Client, user: User, **data: Any) -> Any:
    kind = BlockType.objects.get(code="hero")
    given = {"preview_language": "en", "preview_persona": "anna", **data}
    return page(client, user, reverse("admin:content_block_preview", args=[kind.pk]), given)


def test_the_preview_shows_what_is_not_saved_yet(client: Client, sample: Sample) -> None:
    before = list(BlockVersion.objects.values())

    shown = preview(client, sample.editor, **block_data(sample, content__en__headline="Not saved")).json()

    assert shown["problems"] == []
    assert "Not saved" in shown["html"]
    assert "Hello Anna" in shown["html"]
    assert shown["text"].startswith("Not saved")
    assert shown["counts"]["content__en__headline"] == {"used": 9, "limit": 70}
    assert {row["code"]: (row["done"], row["asked"]) for row in shown["languages"]} == {
        "de": (5, 5), "en": (5, 5), "fr": (5, 5),
    }  # fmt: skip
    assert shown["size"]["over"] is False
    assert list(BlockVersion.objects.values()) == before


def test_the_preview_keeps_hostile_content_text(client: Client, sample: Sample) -> None:
    data = block_data(sample, content__en__headline='"><script>x</script>')

    html = preview(client, sample.editor, **data, preview_persona="hostile").json()["html"]

    assert "<script" not in html
    assert "&lt;script&gt;x" in html
    assert "{{7*7}}" in html


def test_the_preview_tells_what_is_wrong_at_its_field(client: Client, sample: Sample) -> None:
    data = block_data(
        sample, content__en__link="", content__de__headline="x" * 71, content__fr__body="{{ profile.first_name }}",
        name="[Hero]",
    )  # fmt: skip

    told = {problem["field"]: problem for problem in preview(client, sample.editor, **data).json()["problems"]}

    assert told["content__en__link"]["text"] == "Is required"
    assert told["content__en__link"]["missing"]
    assert told["content__de__headline"]["text"] == "Has 71 characters, 70 are allowed: shorten it"
    assert "may be blank" in told["content__fr__body"]["text"]
    assert told["name"]["text"] == "Is not as names of this tier are. Begin with a letter or digit; no brackets."


def test_a_language_that_nobody_wrote_says_what_people_get(client: Client, sample: Sample) -> None:
    data = {"content__de-AT__headline": "", "content__it__headline": ""}

    shown = preview(client, sample.editor, **block_data(sample, **data), preview_language="de-AT").json()
    empty = preview(client, sample.editor, preview_language="it", content__it__headline=" ").json()

    notes = {row["code"]: row["note"] for row in shown["languages"]}
    assert notes["de-AT"] == "Nothing is written. People who speak it get German (de)."
    assert notes["it"] == "Nothing is written. People who speak it get English (en)."
    assert "Gute Dinge" in shown["html"]
    assert (empty["html"], empty["problems"]) == ("", [])
    assert empty["languages"][0]["note"].endswith("write English (en).")


@pytest.mark.parametrize(
    ("how", "holds"),
    [
        ({"preview_pictures": "off"}, "img-src 'none'"),
        ({"preview_dark": "inverted"}, "filter:invert(1) hue-rotate(180deg)"),
        ({"preview_dark": "own"}, ":root{color-scheme:dark}"),
    ],
)
def test_the_preview_simulates_what_clients_do(client: Client, sample: Sample, how: dict[str, str], holds: str) -> None:
    plain = preview(client, sample.editor, **block_data(sample)).json()["html"]

    assert holds not in plain
    assert holds in preview(client, sample.editor, **block_data(sample), **how).json()["html"]


def test_a_persona_of_ones_own_is_offered(client: Client, sample: Sample) -> None:
    data = {"name": "Lisa", "description": "", "profile": "first_name: Lisa\npoints: 12\nloyal: yes"}
    answer = page(client, sample.editor, reverse("admin:content_persona_add"), data)

    persona = Persona.objects.get()
    assert answer.status_code == 302
    assert persona.profile == {"first_name": "Lisa", "points": 12, "loyal": True}
    shown = preview(client, sample.editor, **block_data(sample), preview_persona=f"own-{persona.pk}").json()
    assert "Hello Lisa" in shown["html"]
    assert b"first_name: Lisa" in page(client, sample.editor, change(persona)).content


def test_only_editors_ask_for_previews(client: Client, sample: Sample) -> None:
    assert preview(client, make_user("analyst"), **block_data(sample)).status_code == 403


def test_an_engineer_saves_a_template_and_sees_problems_with_their_line(client: Client, sample: Sample) -> None:
    url = change(sample.template)
    bad = sample.template_version.mjml.replace("[[ slot:hero ]]", "<mj-foo/>\n[[ slot:hero ]]\n{{ profile.a }}")

    refused = page(client, sample.engineer, url, template_data(sample, mjml=bad, text="{{ profile.b }}"))

    errors = refused.context["adminform"].form.errors
    assert refused.status_code == 200
    assert any("Line 34: <mj-foo> is not allowed in mj-body" in message for message in errors["mjml"]), errors
    assert any("Line 1: {{ profile.b }} may be blank" in message for message in errors["text"])
    assert TemplateVersion.objects.count() == 1

    saved = page(client, sample.engineer, url, template_data(sample, subject="Hello", name="Renamed"))

    assert saved.status_code == 302
    assert sample.template_version.number == 2
    assert Template.objects.get().name == "Renamed"


def test_an_engineer_saves_a_block_type(client: Client, sample: Sample) -> None:
    kind = BlockType.objects.get(code="note")
    data = {"name": kind.name, "description": "", "layout": kind.layout, "text_layout": kind.text_layout}

    broken = page(client, sample.engineer, change(kind), {**data, "fields": '[{"name": "body",}]'})
    wrong = page(client, sample.engineer, change(kind), {**data, "fields": '[{"name": "body", "kind": "x"}]'})
    layout = page(client, sample.engineer, change(kind), {**data, "fields": "[]", "layout": "<mj-section>"})
    good = page(client, sample.engineer, change(kind), {**data, "fields": '[{"name": "body", "kind": "rich_text"}]'})

    assert "this is not JSON yet" in broken.context["adminform"].form.errors["fields"][0]
    assert "kind must be one of" in wrong.context["adminform"].form.errors["fields"][0]
    assert layout.context["adminform"].form.errors
    assert good.status_code == 302
    assert BlockType.objects.get(code="note").fields == [{"name": "body", "kind": "rich_text"}]


def test_an_administrator_saves_a_brand(client: Client, sample: Sample) -> None:
    spec = brand_spec(sample.brand)
    data = {**spec, "link_hosts": "shop.example\nhelp.example", "colours": "ink #111111\naccent #1c5446", "labels": ""}

    refused = page(client, sample.administrator, change(sample.brand), {**data, "link_hosts": "https://shop.example"})
    saved = page(client, sample.administrator, change(sample.brand), data)

    assert "host names" in refused.context["adminform"].form.errors["link_hosts"][0]
    assert saved.status_code == 302
    brand = Brand.objects.get()
    assert brand.link_hosts == ["shop.example", "help.example"]
    assert brand.colours == {"ink": "#111111", "accent": "#1c5446"}


def test_versions_are_looked_at_only(client: Client, sample: Sample) -> None:
    root = superuser()
    version = sample.version("Hero: everybody")

    for row in (version, sample.template_version):
        assert page(client, root, change(row)).status_code == 200
        assert page(client, root, change(row), {"number": 9}).status_code == 403
    assert "sandbox" in page(client, root, change(version)).content.decode()
    assert page(client, root, reverse("admin:content_compiledtemplate_changelist")).status_code == 200


def test_a_template_is_seen_before_it_is_saved(client: Client, sample: Sample) -> None:
    url = reverse("admin:content_template_preview")
    data = {**template_data(sample), "preview_language": "de", "preview_persona": "anna"}

    shown = page(client, sample.engineer, url, data).json()
    bad = page(client, sample.engineer, url, {**data, "text": "{{ profile.b }}"}).json()

    assert shown["problems"] == []
    assert shown["darkOwn"] is True
    assert "Harbour &amp; Pine" in shown["html"]
    assert shown["size"]["over"] is False
    assert any("{{ profile.b }} may be blank" in problem["text"] for problem in bad["problems"])
    assert page(client, make_user("analyst"), url, data).status_code == 403
    assert b"data-look" in page(client, sample.engineer, change(sample.template)).content
    assert TemplateVersion.objects.count() == 1


def test_lists_ask_as_much_for_many_and_show_what_is_newest(client: Client, sample: Sample) -> None:
    client.force_login(make_user("engineer"))

    def asked(name: str) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(reverse(f"admin:content_{name}_changelist"))
        return len(queries), answer.content.decode()

    for name in PAGES:
        asked(name)  # what a process keeps
    few = {name: asked(name)[0] for name in PAGES}
    blocks = [make_block() for _ in range(5)]
    assert {name: asked(name)[0] for name in PAGES} == few

    newest = blocks[0].versions.get()
    newest.pk, newest.number, newest.content = None, 2, {"nl": newest.content["en"]}
    newest.save(force_insert=True)
    shown = asked("block")[1]
    row = shown[shown.index(f">{blocks[0].name}<") :]
    assert row[row.index("field-languages_shown") :].partition("</td>")[0].rpartition(">")[2].strip() == "nl"


def test_a_readonly_field_is_worked_out_once_for_a_page(client: Client, sample: Sample) -> None:
    """It is asked for three times: by the row's classes, by the row, and by what is written in it."""
    client.force_login(make_user("analyst"))
    with CaptureQueriesContext(connection) as queries:
        assert client.get(change(sample.version("Hero: everybody").block)).status_code == 200
    versions = [one["sql"] for one in queries if "content_blockversion" in one["sql"] and "accounts_user" in one["sql"]]
    assert len(versions) == 1
