"""The ready-made playbooks over the sample shop: time passes, and each person gets what the steps say, once.

What is expected is worked out here, person by person, from the shop's orders and events and from what each playbook
promises in words; nothing of the engine is asked.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from apps.data.consent.models import ConsentState, Suppression
from apps.data.events.models import Event, Order
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Block, Brand, Template
from apps.decisioning.content.services import brand_create
from apps.decisioning.playbooks import journeys
from apps.decisioning.playbooks.models import Journey, Playbook, Run
from apps.decisioning.playbooks.ready_made import layout_add, layout_missing, ready_made_all, ready_made_copy
from apps.foundation.accounts.rights import may
from apps.foundation.core.errors import Conflict, NotAllowed, NotFound
from apps.surfaces.console.sample_shop import loading
from apps.surfaces.console.sample_shop.generator import shop_generate
from tests.factories import make_market, make_purposes, make_user

from .travelling import got, publish, tick

TODAY = datetime(2025, 6, 15, 6, 0, tzinfo=UTC)
FIRST = TODAY - timedelta(days=45)
EVERY = timedelta(hours=12)
TICKS = [FIRST + EVERY * number for number in range(91)]
CODES = (
    "welcome",
    "onboarding",
    "first_time_buyer",
    "cart_abandonment",
    "loyalty_milestone",
    "high_value_at_risk",
    "win_back",
)

# --- what is expected, from what is known of each person ---


@dataclass
class Person:
    """Somebody, as the shop knows them."""

    id: int
    zone: ZoneInfo
    loyalty: str
    agreed: bool
    outcome: str
    orders: list[datetime] = field(default_factory=list)
    events: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def bought(self, since: datetime, until: datetime) -> bool:
        return any(since < at <= until for at in self.orders)

    def ordered(self, at: datetime, days: int = 100_000) -> int:
        return sum(at - timedelta(days=days) <= one <= at for one in self.orders)

    def looked(self, at: datetime) -> bool:
        return any(at - timedelta(days=7) <= one <= at for one in self.events["Product Viewed"])

    def wall(self, at: datetime, days: int = 0) -> datetime:
        """The same time of day so many days later, where they are."""
        local = at.astimezone(self.zone)
        return datetime.combine(local.date() + timedelta(days=days), local.time(), self.zone).astimezone(UTC)


Steps = Generator[tuple[str, datetime, str] | None, datetime, None]
"""What a person's way is: asks for the next tick, or says which step came and what became of it."""


def until(at: datetime, end: datetime) -> Generator[None, datetime, datetime]:
    while at < end:
        at = yield
    return at


def clock(at: datetime, hour: int, zone: ZoneInfo, weekday: int | None = None) -> datetime:
    """The next time it is `hour` o'clock there."""
    day: date = at.astimezone(zone).date()
    while True:
        moment = datetime.combine(day, time(hour), zone).astimezone(UTC)
        if moment >= at and weekday in (None, day.weekday()):
            return moment
        day += timedelta(days=1)


def quiet_end(person: Person, at: datetime, hours: tuple[int, int]) -> datetime | None:
    local = at.astimezone(person.zone)
    if hours[1] <= local.hour < hours[0]:
        return None
    day = local.date() + timedelta(days=1 if local.hour >= hours[0] else 0)
    return datetime.combine(day, time(hours[1]), person.zone).astimezone(UTC)


def welcome(person: Person, began: datetime, at: datetime) -> Steps:
    yield "hello", at, ""
    end = person.wall(at, 3)
    at = yield from until(at, end)
    if not person.bought(began, at):
        yield "promise", at, ""


def onboarding(person: Person, began: datetime, at: datetime) -> Steps:
    at = yield from until(at, at + timedelta(hours=1))
    if person.bought(began, at):
        return
    at = yield from until(at, clock(at, 9, person.zone))
    if person.bought(began, at):
        return
    yield "first-steps", at, ""
    at = yield from until(at, person.wall(at, 5))
    if not person.bought(began, at):
        yield "more" if person.looked(at) else "favourites", at, ""


def first_time_buyer(person: Person, began: datetime, at: datetime) -> Steps:
    for step, days in (("thanks", 1), ("goes-with-it", 14)):
        if person.bought(began, at):
            return
        at = yield from until(at, person.wall(at, days))
        if person.bought(began, at):
            return
        yield step, at, ""


def spoken(
    person: Person, began: datetime, at: datetime, reached: datetime, hours: tuple[int, int], step: str
) -> Generator[Any, datetime, datetime | None]:
    """A message that quiet hours hold back, for a day at most; None when they buy meanwhile."""
    while True:
        if person.bought(began, at):
            return None
        deadline, end = reached + timedelta(hours=24), quiet_end(person, at, hours)
        if at > deadline:
            yield step, at, "too_late"
            return at
        if end is None:
            yield step, at, ""
            return at
        if end > deadline:
            yield step, at, "quiet_hours"
            return at
        at = yield from until(at, end)


def cart_abandonment(person: Person, began: datetime, at: datetime) -> Steps:
    if person.bought(began, at):
        return
    end = at + timedelta(hours=4)
    at = yield from until(at, end)
    said = yield from spoken(person, began, at, end, (21, 8), "reminder")
    if said is None:
        return
    end = person.wall(said, 1)
    at = yield from until(said, end)
    if not person.bought(began, at):
        yield from spoken(person, began, at, at, (21, 8), "can-we-help" if person.ordered(at) >= 3 else "still-there")


def loyalty_milestone(person: Person, began: datetime, at: datetime) -> Steps:
    at = yield from until(at, clock(at, 10, person.zone))
    yield "gold-thanks" if person.loyalty == "gold" else "thanks", at, ""


def high_value_at_risk(person: Person, began: datetime, at: datetime) -> Steps:
    said = yield from spoken(person, began, at, at, (20, 9), "first-look")
    if said is None:
        return
    at = yield from until(said, person.wall(said, 7))
    if not person.bought(began, at):
        yield from spoken(person, began, at, at, (20, 9), "picks" if person.looked(at) else "question")


def win_back(person: Person, began: datetime, at: datetime) -> Steps:
    at = yield from until(at, clock(at, 9, ZoneInfo("UTC"), 1))
    if person.bought(began, at):
        return
    yield "what-is-new", at, ""
    at = yield from until(at, person.wall(at, 10))
    if not person.bought(began, at):
        yield "last-word", at, ""


WAYS: dict[str, Callable[[Person, datetime, datetime], Steps]] = {
    one.__name__: one
    for one in (
        welcome,
        onboarding,
        first_time_buyer,
        cart_abandonment,
        loyalty_milestone,
        high_value_at_risk,
        win_back,
    )
}
INSIDE: dict[str, Callable[[Person, datetime], bool]] = {
    "onboarding": lambda person, at: person.ordered(at) == 0,
    "first_time_buyer": lambda person, at: person.ordered(at) == 1,
    "loyalty_milestone": lambda person, at: person.ordered(at, 365) >= 5,
    "high_value_at_risk": lambda person, at: person.ordered(at, 730) >= 5 and not person.ordered(at, 90),
    "win_back": lambda person, at: person.ordered(at) >= 1 and not person.ordered(at, 180),
}
EVENTS = {"welcome": "Signed Up", "onboarding": "Signed Up", "cart_abandonment": "Cart Updated", "first_time_buyer": ""}
AGAIN = {"cart_abandonment": 7, "loyalty_milestone": 365, "high_value_at_risk": 180, "win_back": 365}


def expected(code: str, person: Person) -> Iterator[tuple[int, str, str]]:
    """What one person gets of a playbook: step, and what became of it."""
    if not person.agreed:
        return
    running: list[list[Any]] = []  # began, ended, the way
    was_in: bool | None = None
    before = FIRST
    for at in TICKS:
        inside = INSIDE[code](person, at) if code in INSIDE else True
        if code in EVENTS:
            source = person.events[EVENTS[code]] if EVENTS[code] else person.orders
            moments = [one for one in source if before < one <= at and inside]
        else:
            moments = [at] if inside and was_in is False else []
        was_in, before = inside, at
        for one in running:
            if code == "cart_abandonment" and one[1] is None and person.bought(one[0], at):
                one[1] = min(order for order in person.orders if order > one[0])
        for began in sorted(moments):
            if code not in AGAIN and running:
                continue
            rest = timedelta(days=AGAIN.get(code, 0))
            if any((b <= began and (e is None or e > began)) or abs(began - b) < rest for b, e, *_ in running):
                continue
            running.append([began, None, WAYS[code](person, began, at)])
            yield from _step_on(running[-1], person, at, fresh=True)
        for one in running:
            if one[2] is not None and not (one[0] in moments and one[3:] == [at]):
                yield from _step_on(one, person, at, fresh=False)


def _step_on(one: list[Any], person: Person, at: datetime, *, fresh: bool) -> Iterator[tuple[int, str, str]]:
    """Go on until the next tick is needed."""
    one[3:] = [at]
    try:
        said = next(one[2]) if fresh else one[2].send(at)
        while said is not None:
            step, _, withheld = said
            yield person.id, step, withheld or person.outcome
            said = one[2].send(at)
    except StopIteration:
        one[1], one[2] = one[1] or at, None


# --- the shop, and time ---


@dataclass
class Passed:
    """What came of it all, by playbook."""

    got: dict[str, Counter[tuple[int, str, str]]]
    wanted: dict[str, Counter[tuple[int, str, str]]]
    states: dict[str, Counter[str]]


def _people() -> list[Person]:
    agreed = set(
        ConsentState.objects.filter(purpose="marketing", channel="email", granted=True).values_list(
            "profile", flat=True
        )
    )
    suppressed = {bytes(digest) for digest in Suppression.objects.values_list("digest", flat=True)}
    addresses = {
        profile: bytes(digest)
        for profile, digest in Identifier.objects.filter(kind="email", main=True).values_list("profile", "digest")
    }
    people = {}
    for profile in Profile.objects.all():
        outcome = "send" if profile.pk in addresses else "invalid_address"
        if addresses.get(profile.pk) in suppressed:
            outcome = "suppressed"
        zone = ZoneInfo(profile.time_zone or "UTC")
        people[profile.pk] = Person(profile.pk, zone, profile.attributes["loyalty"], profile.pk in agreed, outcome)
    for order in Order.objects.filter(status="purchase", profile__isnull=False).order_by("placed_at"):
        people[order.profile_id or 0].orders.append(order.placed_at)
    for event in Event.objects.filter(profile__isnull=False).order_by("occurred_at"):
        people[event.profile_id or 0].events[event.name].append(event.occurred_at)
    return list(people.values())


def _shop() -> None:
    """The data of the sample shop, without what its staff made."""
    make_purposes()
    shop = shop_generate(customers=400, seed=3, as_of=TODAY)
    people, goods = loading._customers_write(shop), loading._goods_write(shop, TODAY)
    loading._sales_write(shop, people, goods)
    loading._happenings_write(shop, people)
    by = make_user("administrator")
    loading._consents_write(shop, people, by)
    loading._suppressions_write(shop, by)
    for profile in Profile.objects.order_by("pk")[::3]:  # a gold card is rare
        profile.attributes["loyalty"] = "gold"
        profile.save(update_fields=["attributes"])


def _brand() -> Brand:
    return brand_create(
        by=make_user("administrator"),
        code="harbour",
        name="Harbour",
        from_name="Harbour",
        from_email="hello@shop.example",
        postal_address="14 Quay Street, Eastport",
        shop_url="https://shop.example/",
        link_hosts=["shop.example"],
    )


@pytest.fixture(scope="module")
def passed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Passed]:
    """Forty-five days of the shop with all seven playbooks: each moment twice, and now and then one that is cut off."""
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patched:
        for place in ("playbooks", "decisions"):
            patched.setattr(f"apps.decisioning.{place}.receivers.enqueue_on_commit", lambda *args: None)
        _shop()
        root = make_user("administrator")
        root.is_superuser = True
        root.save()
        layout_add(by=root)
        brand = _brand()
        playbooks = {code: ready_made_copy(code=code, brand=brand, name="", by=root) for code in CODES}
        for playbook in playbooks.values():
            publish(playbook, FIRST)
        write = journeys._moves_write
        for number, at in enumerate(TICKS):
            if number % 5 == 2:
                _cut_off(patched, write, at)
            tick(at)
            tick(at)
        people = _people()
        yield Passed(
            got={code: got(playbook) for code, playbook in playbooks.items()},
            wanted={code: Counter(one for person in people for one in expected(code, person)) for code in CODES},
            states={
                code: Counter(Journey.objects.filter(playbook=playbook).values_list("state", flat=True))
                for code, playbook in playbooks.items()
            },
        )
        transaction.set_rollback(True)


def _cut_off(patched: pytest.MonkeyPatch, write: Any, at: datetime) -> None:
    """A look that writes everything of its second batch and then dies."""
    calls: list[int] = []

    def dies(*args: Any) -> None:
        write(*args)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(journeys, "_moves_write", dies)
        broken.setattr(journeys, "BATCH", 2)
        try:
            journeys.journeys_advance(at=at)
        except KeyboardInterrupt:
            assert len(calls) == 2


@pytest.mark.slow
@pytest.mark.parametrize("code", CODES)
def test_each_person_gets_what_the_steps_say_once(passed: Passed, code: str) -> None:
    wanted = passed.wanted[code]
    assert wanted, "nobody should get anything of it: then nothing is shown"
    assert passed.got[code] == wanted
    assert len({step for _, step, _ in wanted}) >= 2
    assert sum(passed.states[code].values()) >= len({person for person, _, _ in wanted})


@pytest.mark.slow
def test_people_leave_early_and_quiet_hours_hold(passed: Passed) -> None:
    left = {code for code, states in passed.states.items() if states["exited"]}
    assert {"cart_abandonment", "first_time_buyer"} <= left


# --- copying ---


@pytest.mark.django_db
def test_a_copy_is_a_draft_of_ones_own() -> None:
    germany = make_market("germany")
    editor = make_user("publisher", markets=[germany])
    engineer, elsewhere = make_user("engineer"), make_user("publisher")
    make_purposes()
    brand = _brand()
    layout_add(by=engineer)
    for user in (elsewhere, engineer, make_user("local_editor", markets=[germany])):
        with pytest.raises(NotAllowed):
            ready_made_copy(code="welcome", brand=brand, name="", by=user, market=germany)
    with pytest.raises(NotAllowed):  # blocks for all markets are the central team's
        ready_made_copy(code="welcome", brand=brand, name="", by=editor)
    assert (Playbook.objects.count(), Block.objects.count(), Audience.objects.count()) == (0, 3, 0)
    layout_add(by=engineer)
    assert (Template.objects.count(), Block.objects.count()) == (1, 3)
    assert not layout_missing()
    playbook = ready_made_copy(code="welcome", brand=brand, name="Hello there", by=editor, market=germany)
    assert (playbook.name, playbook.code, playbook.owner, playbook.published) == (
        "Hello there",
        "hello-there",
        editor,
        None,
    )
    assert [step["id"] for step in playbook.steps] == ["hello", "three-days", "bought", "promise"]
    own = Block.objects.filter(name__startswith="Hello there: ")
    assert set(own.values_list("owner", "market")) == {(editor.pk, germany.pk)}
    assert Audience.objects.get().owner == editor
    assert all(may(editor, "change", block) for block in own)
    with pytest.raises(Conflict):
        ready_made_copy(
            code="welcome", brand=brand, name="Hello there", by=editor, market=germany
        )  # its blocks have those names
    with pytest.raises(NotFound):
        ready_made_copy(code="../welcome", brand=brand, name="x", by=editor, market=germany)
    assert (Playbook.objects.count(), Run.objects.count()) == (1, 0)


@pytest.mark.django_db
def test_the_gallery_says_what_the_data_has() -> None:
    found = {one.code: one for one in ready_made_all()}
    assert tuple(found) == CODES
    assert [(need.words, need.there) for need in found["cart_abandonment"].needs] == [
        ("events “Cart Updated”", False),
        ("orders", False),
    ]
    Event.objects.create(name="Cart Updated", message_id="1", occurred_at=TODAY)
    needs = {one.code: one for one in ready_made_all()}["cart_abandonment"].needs
    assert [need.there for need in needs] == [True, False]
