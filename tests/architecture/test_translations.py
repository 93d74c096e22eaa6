"""Every text of the customers' pages is there in every language, and what Django reads is what was translated."""

from pathlib import Path

from babel.messages.catalog import Catalog
from django.conf import settings

from bin.lib.translations import PLACES, faults, languages_there, stale, texts_gather, write_all
from config.languages import languages_read


def test_nothing_is_missing_or_stale() -> None:
    assert stale() == []


def test_the_languages_are_those_that_have_a_folder() -> None:
    assert {code for code, _ in settings.LANGUAGES} == {"en", *(name.lower() for name in languages_there())}
    assert {"de", "fr", "es", "ar"} <= set(languages_there())


def test_a_language_is_added_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pt_BR" / "LC_MESSAGES").mkdir(parents=True)

    assert languages_read(tmp_path) == [("en", "English"), ("pt-br", "Português Brasileiro")]


def test_what_is_missing_stale_or_has_other_placeholders_is_found(tmp_path: Path) -> None:
    page = tmp_path / PLACES[0] / "page.html"
    page.parent.mkdir(parents=True)
    page.write_text(
        "{% load i18n %}<p>{% translate 'Hello' %}</p>\n"
        "    {% blocktranslate with a=b %}Bye {{ a }}{% endblocktranslate %}"
        "{% blocktranslate count n=n %}one{% plural %}{{ n }} of them{% endblocktranslate %}"
    )
    (tmp_path / "locale" / "de" / "LC_MESSAGES").mkdir(parents=True)
    assert {message.id for message in texts_gather(tmp_path) if message.id} == {
        "Hello",
        "Bye %(a)s",
        ("one", "%(n)s of them"),
    }

    assert {fault.partition(": ")[2] for fault in write_all(tmp_path)} == {
        "not translated: 'Bye %(a)s'",
        "not translated: 'Hello'",
        "not translated: 'one'",
    }
    po = tmp_path / "locale" / "de" / "LC_MESSAGES" / "django.po"
    po.write_text(po.read_text().replace('msgid "Hello"\nmsgstr ""', 'msgid "Hello"\nmsgstr "Hallo"'))

    assert "locale/de/LC_MESSAGES/django.mo is not up to date: call bin/translate" in stale(tmp_path)
    write_all(tmp_path)
    assert not any("not up to date" in fault for fault in stale(tmp_path))


def test_placeholders_must_be_those_of_the_text() -> None:
    catalog = Catalog(locale="de")
    catalog.add("On since %(when)s.", "An seit %(wann)s.", flags=["python-format"])

    assert len(faults(catalog)) == 1
