"""`import_orders` and `import_profiles` as people type them."""

from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command, load_command_class

from apps.data.consent.models import ConsentState
from apps.data.imports.models import Import
from apps.data.profiles.models import Profile
from tests.factories import identifiers_of, make_user

from .making import MAILCHIMP, SHOPIFY_CUSTOMERS, write

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(settings: LazySettings, tmp_path: Path) -> None:
    """Errors files where the test can see them."""
    settings.DATA_DIR = tmp_path / "data"


def typed(*words: str) -> tuple[str, str]:
    """What the command writes to its two outputs."""
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_help_is_enough() -> None:
    for name in ("import_orders", "import_profiles"):
        text = load_command_class("apps.data.imports", name).create_parser("manage.py", name).format_help()
        for word in (
            "--preset",
            "--mapping",
            "columns:",
            "--consent-column",
            "--evidence",
            "The fields are",
            "--errors",
        ):
            assert word in text, (name, word)


def test_a_mapping_of_ones_own_and_the_errors_where_they_are_wanted(tmp_path: Path) -> None:
    mapping = write(
        tmp_path / "m.yaml",
        "source: club\ncolumns:\n  external_id: Number\n  email: Mail\n  first_name: Name\nattributes: {tier: Class}\n",
    )
    file = write(tmp_path / "p.csv", "Number;Mail;Name;Class\n1;a@example.com;Ida;gold\n;nobody;;\n")

    out, err = typed(
        "import_profiles", str(file), "--mapping", str(mapping), "--errors", str(tmp_path / "e.csv"), "--source", "gym"
    )

    assert out == (
        "2  lines read\n1  bad lines, left out\n1  bad values, left out of good lines\n1  profiles\n"
        "1  attributes kept that nobody defined (tier)\n"
    )
    assert str(tmp_path / "e.csv") in err
    assert Profile.objects.get().attributes == {"tier": "gold"}
    assert ("external_id", "gym:1", False) in identifiers_of(Profile.objects.get())
    assert "tells who it is" in (tmp_path / "e.csv").read_text()


def test_consent_by_column_and_by_a_named_person(tmp_path: Path) -> None:
    by = make_user("administrator")
    people, audience = write(tmp_path / "p.csv", SHOPIFY_CUSTOMERS), write(tmp_path / "m.csv", MAILCHIMP)
    typed("import_profiles", str(people), "--preset", "shopify", "--consent-column", "Accepts Email Marketing=tracking")
    typed(
        "import_profiles", str(audience), "--preset", "mailchimp", "--grant", "marketing",
        "--evidence", "double opt-in since 2019", "--by", by.email,
    )  # fmt: skip

    assert sorted(ConsentState.objects.values_list("purpose", flat=True)) == ["marketing"] * 2 + ["tracking"] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "shopify", "--grant", "marketing"], "needs --evidence"),
        (["--preset", "shopify", "--grant", "marketing", "--evidence", "long enough"], "needs --evidence"),
        (["--preset", "shopify", "--by", "nobody@example.com"], "no active member of staff"),
        (["--preset", "shopify", "--evidence", "something"], "belongs to --grant"),
        (["--preset", "shopify", "--consent-column", "Nothing"], "columns are missing: Nothing"),
        (["--preset", "shopify", "--address-template", "x@example.com"], "with {id} in it once"),
        (["--mapping", "/nowhere.yaml"], "can't be read"),
        (["--preset", "mailchimp"], "Email Address"),
    ],
)
def test_what_can_not_be_right_is_refused_and_nothing_changed(tmp_path: Path, words: list[str], said: str) -> None:
    file = write(tmp_path / "p.csv", SHOPIFY_CUSTOMERS)
    with pytest.raises(CommandError) as error:
        typed("import_profiles", str(file), *words)
    assert said in str(error.value)
    assert not Import.objects.exists()
    assert not Profile.objects.exists()


def test_every_fault_of_a_mapping_is_listed_at_once(tmp_path: Path) -> None:
    mapping = write(tmp_path / "m.yaml", "source: My Shop\ncolours: x\ncolumns: {order: No, price: B}\ndecimal: x\n")
    with pytest.raises(CommandError) as error:
        typed("import_orders", str(write(tmp_path / "p.csv", "A\n1\n")), "--mapping", str(mapping))
    for word in ("`colours`", "`price` is no field", "`sku` is needed", "source:", "decimal:", "quotation marks"):
        assert word in str(error.value)
