"""The one verdict about an address: the gravest fact counts, and what isn't known is never held against it."""

from datetime import timedelta

import pytest

from apps.data.profiles.address_check import address_facts
from apps.data.profiles.rules import AddressFacts, MailHost, Verdict, address_judge

DAY = timedelta(days=1)
YEAR = 365 * DAY
TAKES = MailHost.TAKES


@pytest.mark.parametrize(
    ("facts", "verdict", "code", "good_for"),
    [
        (AddressFacts(host=TAKES), "ok", "", 7 * DAY),
        (AddressFacts(), "ok", "no_answer", DAY / 24),  # DNS said nothing: that never blocks, and is asked again soon
        (AddressFacts(readable=False, trap=True), "refuse", "syntax", 30 * DAY),
        (AddressFacts(trap=True, bounced=True, host=TAKES), "refuse", "spam_trap", 30 * DAY),
        (AddressFacts(bounced=True, disposable=True), "refuse", "bounced", 30 * DAY),
        (AddressFacts(disposable=True, host=MailHost.NONE), "refuse", "disposable", 30 * DAY),
        (AddressFacts(host=MailHost.REFUSES), "refuse", "null_mx", 2 * DAY),
        (AddressFacts(host=MailHost.NONE, role=True), "refuse", "no_mail", 2 * DAY),
        (AddressFacts(host=MailHost.NONE, host_age=2 * DAY), "ok", "no_answer", DAY / 24),  # an old word of DNS is none
        (AddressFacts(host=MailHost.NONE, host_age=DAY), "refuse", "no_mail", 2 * DAY),
        (AddressFacts(role=True, host=TAKES), "warn", "role", 7 * DAY),
        (AddressFacts(role=True), "warn", "role", DAY / 24),
        (AddressFacts(silent_for=YEAR, host=TAKES), "warn", "silent", DAY),
        (AddressFacts(silent_for=YEAR - DAY, host=TAKES), "ok", "", 7 * DAY),
        (AddressFacts(silent_for=YEAR, bounced=True), "refuse", "bounced", 30 * DAY),
    ],
)
def test_the_gravest_of_what_is_known_counts(facts: AddressFacts, verdict: str, code: str, good_for: timedelta) -> None:
    found = address_judge(facts, silent_after=YEAR)

    assert (found.verdict, found.code, found.good_for) == (verdict, code, good_for)


def test_silence_withholds_only_where_that_is_wanted() -> None:
    silent = AddressFacts(silent_for=3 * YEAR, host=TAKES)

    assert address_judge(silent).code == ""
    assert address_judge(silent, silent_after=YEAR).verdict == Verdict.WARN
    assert address_judge(silent, silent_after=YEAR, silence_refuses=True).verdict == Verdict.REFUSE


def test_what_an_address_tells_by_itself() -> None:
    assert address_facts("no address") == AddressFacts(readable=False)
    assert address_facts("Info@Shop.Example.org") == AddressFacts(role=True)
    assert address_facts("jane@mailinator.com") == AddressFacts(disposable=True)
    assert address_facts("jane@example.org") == AddressFacts()
