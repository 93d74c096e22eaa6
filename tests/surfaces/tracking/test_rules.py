"""Machines are told from people, and people are not taken for machines."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from apps.decisioning.content.traces import HONEYPOT
from apps.surfaces.tracking.contracts import Seen
from apps.surfaces.tracking.rules import looks_once, machine_of, machines_found

AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


def click(seconds: float, link: int = 1, message: UUID = ONE, machine: str = "") -> Seen:
    return Seen(f"{seconds}-{link}-{message.int}", message, "clicked", AT + timedelta(seconds=seconds), link, machine)


def opening(seconds: float, machine: str = "") -> Seen:
    return Seen(f"o{seconds}", ONE, "opened", AT + timedelta(seconds=seconds), None, machine)


def found(*seen: Seen, others: tuple[Seen, ...] = (), sent: datetime | None = None) -> list[str]:
    why = machines_found(seen, others=others, handed_over={ONE: sent, OTHER: sent})
    return [why.get(one.id, "") for one in seen]


@pytest.mark.parametrize(
    ("agent", "opened", "machine"),
    [
        (CHROME, False, ""),
        (IPHONE, True, ""),
        ("", False, "scanner"),
        ("curl/8.5.0", False, "scanner"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", False, "scanner"),
        ("Barracuda Sentinel (EE)", False, "scanner"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", False, "scanner"),
        (GMAIL, True, "proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", True, "proxy"),
        ("Mozilla/5.0", True, "proxy"),
        ("Mozilla/5.0", False, ""),
    ],
)
def test_what_a_request_says_of_itself(agent: str, opened: bool, machine: str) -> None:
    assert machine_of(agent, opened=opened) == machine


def test_somebody_who_reads_is_a_person() -> None:
    assert found(opening(0), click(4), click(15, 2), click(40, 3)) == ["", "", "", ""]


def test_who_follows_the_hidden_link_is_a_machine_with_all_it_does() -> None:
    assert found(opening(-5), click(0), click(30, HONEYPOT), click(80, 2), click(200, 3)) == [
        "honeypot", "honeypot", "honeypot", "honeypot", "",
    ]  # fmt: skip


def test_faster_than_a_hand_is_a_machine() -> None:
    assert found(click(0, 1), click(1, 2), click(2, 3)) == ["burst"] * 3
    assert found(click(0, 1), click(0.2, 2)) == ["burst"] * 2
    # one link twice is a hand that shakes; two messages are two
    assert found(click(0, 1), click(0.2, 1)) == ["", ""]
    assert found(click(0, 1), click(0.2, 2, OTHER)) == ["", ""]


def test_a_burst_is_seen_across_what_was_judged_before_and_what_is_judged_later() -> None:
    assert found(click(1, 2), others=(click(0, 1), click(2, 3))) == ["burst"]


def test_sooner_than_it_can_have_arrived_is_a_machine() -> None:
    assert found(click(0.5), click(60), sent=AT) == ["too_soon", ""]
    assert found(click(0.5), sent=None) == [""]


def test_the_same_look_again_is_not_another() -> None:
    again = [click(0), click(10), click(20, 2), opening(20), opening(21), click(61)]

    assert [one.id for one in looks_once(again, others=[])] == [again[0].id, again[2].id, again[3].id, again[5].id]
    assert looks_once([click(10)], others=[click(0)]) == []
