"""Attributes that files bring: read by their definitions, sensitive ones sealed from the first line on."""

import csv
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from apps.data.imports import services
from apps.data.imports.mapping import mapping_parse
from apps.data.imports.merge import import_merge
from apps.data.imports.models import Import, StagedPerson
from apps.data.imports.selectors import figures_list
from apps.data.imports.services import import_go_on, import_open, import_run, import_stop
from apps.data.imports.staging import Stopped
from apps.data.profiles import attribute_moving
from apps.data.profiles.attribute_moving import values_left, values_move
from apps.data.profiles.attributes import attributes_put, attributes_read, shapes_read
from apps.data.profiles.models import AttributeSeen, Profile, SealedAttribute
from apps.data.profiles.services import attribute_define, attribute_open
from tests.factories import known_by, make_user
from tests.storage import found_in_tables

from .making import errors_of, write

pytestmark = pytest.mark.django_db

SECRET = "kanarienfieber"
FILE = f"""number,mail,age,illness,since,hat
1,anna@example.com,30,{SECRET}-one,31.12.2019,big
2,bo@example.com,{SECRET}-age,,yesterday,
3,{SECRET}-no-address,,{SECRET}-three,,
1,anna@example.com,,{SECRET}-newer,,
4,"carla@example.com,{SECRET}-broken
"""
MAPPING = {
    "source": "club",
    "columns": {"external_id": "number", "email": "mail"},
    "attributes": {"age": "age", "illness": "illness", "since": "since", "hat": "hat"},
    "date_format": "%d.%m.%Y",
}


@pytest.fixture(autouse=True)
def data_dir(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(attribute_moving, "GRACE", attribute_moving.GRACE * 0)
    return tmp_path


def define() -> None:
    by = make_user("administrator")
    attribute_define(name="age", kind="number", sensitive=True, required=True, by=by)
    attribute_define(name="illness", sensitive=True, by=by)
    attribute_define(name="since", kind="date", by=by)
    for definition_id in values_left():
        values_move(definition_id=definition_id)


def brought(path: Path, **changes: Any) -> Import:
    mapping = mapping_parse({**MAPPING, **changes}, kind="profiles")
    return import_open(kind="profiles", path=path, mapping=mapping)


def test_values_are_read_by_their_definitions_and_only_what_does_not_fit_is_lost(tmp_path: Path) -> None:
    define()

    job = import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)

    anna, bo = known_by("email", "anna@example.com"), known_by("email", "bo@example.com")
    assert attributes_read(profile_id=anna.pk) == {
        "age": 30, "illness": f"{SECRET}-newer", "since": "2019-12-31", "hat": "big",
    }  # fmt: skip
    assert anna.attributes == {"since": "2019-12-31", "hat": "big"}
    assert attributes_read(profile_id=bo.pk) == {}
    assert attributes_read(profile_id=known_by("external_id", "club:3").pk) == {"illness": f"{SECRET}-three"}
    assert found_in_tables(SECRET) == {}
    assert job.counts["undefined"] == ["hat"]
    assert ("attributes kept that nobody defined (hat)", "1") in figures_list(job.counts)
    assert set(AttributeSeen.objects.values_list("name", flat=True)) == {"age", "illness", "since", "hat"}


def test_the_errors_file_names_column_and_line_and_never_a_sensitive_value(tmp_path: Path) -> None:
    define()

    job = import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)

    lost = list(csv.reader(errors_of(job)))
    assert [(line, column, reason) for line, column, _, reason, _ in lost if column in ("age", "since")] == [
        ("3", "age", "must be a number such as 12.5"), ("3", "since", "must be a date of the form %d.%m.%Y"),
        ("4", "age", "is required, and empty"), ("5", "age", "is required, and empty"),
    ]  # fmt: skip
    text = Path(job.errors_path).read_text()
    assert "2,bo@example.com,•••,,yesterday," in text  # the rest of the line helps to find it
    assert "(left out: the file has sensitive columns)" in text
    assert f"{SECRET}-age" not in text
    assert f"{SECRET}-three" not in text
    assert f"{SECRET}-broken" not in text


def test_nothing_is_clear_while_it_is_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define()
    seen: list[tuple[dict[str, int], int]] = []

    def look(**terms: object) -> object:
        seen.append((found_in_tables(SECRET), StagedPerson.objects.exclude(sensitive=None).count()))
        return import_merge(**terms)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "import_merge", look)
    import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)

    assert seen == [({}, 3)]


def test_the_same_file_again_writes_nothing_anew(tmp_path: Path) -> None:
    define()
    path = write(tmp_path / "people.csv", FILE)
    import_run(import_id=brought(path).pk)
    before = list(SealedAttribute.objects.order_by("pk").values()), list(Profile.objects.order_by("pk").values())

    import_run(import_id=brought(write(tmp_path / "again.csv", FILE + "9,dora@example.com,,,,\n")).pk)

    after = (
        list(SealedAttribute.objects.order_by("pk").values()),
        list(Profile.objects.exclude(pk=known_by("email", "dora@example.com").pk).order_by("pk").values()),
    )
    assert after == before


def test_the_data_of_somebody_restricted_stays_as_it_is(tmp_path: Path) -> None:
    define()
    import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)
    anna = known_by("email", "anna@example.com")
    Profile.objects.filter(pk=anna.pk).update(restricted_at=anna.created_at)

    import_run(import_id=brought(write(tmp_path / "new.csv", "number,mail,age,illness,since,hat\n1,,31,other,,\n")).pk)

    assert attributes_read(profile_id=anna.pk)["age"] == 30
    assert attributes_read(profile_id=anna.pk)["illness"] == f"{SECRET}-newer"


def test_one_that_becomes_sensitive_while_it_is_staged_is_sealed_and_its_traces_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an import that was read while nothing was sensitive
    def define_then_merge(**terms: object) -> object:
        assert found_in_tables(SECRET).keys() == {"imports_stagedperson"}
        define()  # what is sealed by then waits for this import
        assert set(values_left().values()) == {"age", "illness"}
        return import_merge(**terms)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "import_merge", define_then_merge)
    text = FILE.replace(f"{SECRET}-age", f"{SECRET}-age,too,many")
    job = import_run(import_id=brought(write(tmp_path / "people.csv", text)).pk)
    anna = known_by("email", "anna@example.com")
    assert anna.attributes.keys() == {"since", "hat"}
    assert attributes_read(profile_id=anna.pk)["illness"] == f"{SECRET}-newer"
    assert SECRET in Path(job.errors_path).read_text()

    # when the sweeper comes again, after the import
    for definition_id in values_left():
        values_move(definition_id=definition_id)

    assert values_left() == {}
    assert not Path(job.errors_path).exists()
    assert found_in_tables(SECRET) == {}


def test_one_that_was_made_clear_while_it_was_staged_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define()

    def open_then_merge(**terms: object) -> object:
        by = make_user("administrator")
        row = attribute_open(definition_id=_id("illness"), by=by, name="illness")
        values_move(definition_id=row.pk)
        return import_merge(**terms)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "import_merge", open_then_merge)
    import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)

    assert known_by("email", "anna@example.com").attributes["illness"] == f"{SECRET}-newer"


def test_an_import_that_stopped_reads_its_file_anew_once_an_attribute_became_sensitive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**terms: object) -> object:
        raise Stopped

    job = brought(write(tmp_path / "people.csv", FILE))
    with monkeypatch.context() as patched:
        patched.setattr(services, "import_merge", stop)
        import_run(import_id=job.pk)
    assert found_in_tables(SECRET).keys() == {"imports_stagedperson"}

    define()
    assert found_in_tables(SECRET) == {}
    import_go_on(import_id=job.pk)
    import_run(import_id=job.pk)

    assert attributes_read(profile_id=known_by("email", "anna@example.com").pk)["illness"] == f"{SECRET}-newer"
    assert found_in_tables(SECRET) == {}


def test_what_an_order_carries_on_from_line_to_line_is_sealed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define()
    monkeypatch.setattr("apps.data.imports.staging.CHUNK", 1)
    mapping = {
        "source": "shop", "carry": True, "attributes": {"illness": "illness"},
        "columns": {
            "order": "order", "placed_at": "at", "sku": "sku", "quantity": "n", "unit_price": "price", "email": "mail",
        },
    }  # fmt: skip
    text = f"order,at,sku,n,price,mail,illness\n1,2020-01-01,a,1,1,anna@example.com,{SECRET}\n1,,b,1,1,,\n"
    path = write(tmp_path / "orders.csv", text)
    job = import_open(kind="orders", path=path, mapping=mapping_parse(mapping, kind="orders"))
    seen = []

    def told(one: Import) -> None:
        seen.append(found_in_tables(SECRET, "anna@example.com"))
        if len(seen) == 1:
            import_stop(import_id=one.pk)

    assert import_run(import_id=job.pk, told=told).state == Import.State.STOPPED
    import_go_on(import_id=job.pk)
    done = import_run(import_id=job.pk, told=told)

    assert (done.state, done.counts["purchase_lines"], done.counts["profiles"]) == (Import.State.DONE, 2, 1)
    assert set(map(tuple, seen)) == {()}
    assert attributes_read(profile_id=known_by("email", "anna@example.com").pk) == {"illness": SECRET}


def test_a_sensitive_value_that_came_by_another_way_gives_way_to_the_files(tmp_path: Path) -> None:
    define()
    import_run(import_id=brought(write(tmp_path / "people.csv", FILE)).pk)
    anna = known_by("email", "anna@example.com")
    attributes_put(profile_id=anna.pk, values={"illness": "by hand", "age": 44})

    import_run(import_id=brought(write(tmp_path / "new.csv", "number,mail,age,illness,since,hat\n1,,,flu,,\n")).pk)

    assert attributes_read(profile_id=anna.pk)["illness"] == "flu"
    assert attributes_read(profile_id=anna.pk)["age"] == 44  # a blank never erases


def _id(name: str) -> int:
    return shapes_read([name])[name].id
