"""An address as it is typed, as far as it needs no network; and what is taken for a slip of the hand."""

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as some

from apps.data.profiles.address_check import address_check, disposable_domain, role_address
from apps.data.profiles.normalize import email_normalize
from apps.data.profiles.rules import Verdict
from apps.data.profiles.typos import domain_meant, slips
from apps.foundation.core.errors import Invalid
from tests.examples import tries

CASES = Path(settings.BASE_DIR).parent / "shared" / "data" / "isemail_tests.xml"

# Categories of the corpus whose addresses people have, by the way mail works today. The others are right by RFC 5322
# alone (comments, quoted names, obsolete forms, addresses of machines): nobody has one, and few servers take them.
PEOPLE_HAVE = {"ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN"}
# 24 cases differ from a plain address only by white space at its ends, and what is typed is trimmed.
DOTLESS = {"5"}  # test@io: no mailbox at a top-level domain is reachable in practice (RFC 7085 asks for none)


def cases() -> list[tuple[str, str, str]]:
    """Number, category and address of each, control characters put back."""
    found = []
    for case in ET.parse(CASES).getroot().iter("test"):  # noqa: S314  # a file of our own
        text = case.findtext("address") or ""
        address = "".join(chr(ord(c) - 0x2400) if 0x2400 <= ord(c) <= 0x241F else c for c in text)
        found.append((case.get("id", ""), case.findtext("category") or "", address))
    return found


@pytest.mark.skipif(not CASES.exists(), reason="the corpus of addresses is not here")
def test_syntax_agrees_with_the_corpus_but_for_what_is_named() -> None:
    seen: Counter[str] = Counter()
    for number, category, address in cases():
        try:
            email_normalize(address)
            taken = True
        except Invalid:
            taken = False
        if taken == (category in PEOPLE_HAVE):
            seen["agrees"] += 1
        elif taken and address != address.strip():
            seen["trimmed"] += 1
        else:
            assert number in DOTLESS, (number, category, address)
            seen["dotless"] += 1

    assert seen == {"agrees": 139, "trimmed": 24, "dotless": 1}


SLIPS = {
    "gmial.com": "gmail.com", "gmai.com": "gmail.com", "gmal.com": "gmail.com", "gamil.com": "gmail.com",
    "gnail.com": "gmail.com", "gmaill.com": "gmail.com", "gmail.con": "gmail.com", "gmail.co": "gmail.com",
    "gmail.cm": "gmail.com", "gmail.om": "gmail.com", "gmail.comm": "gmail.com", "gmailcom": "gmail.com",
    "gmaul.com": "gmail.com", "gmsil.com": "gmail.com", "hotmial.com": "hotmail.com", "hotmal.com": "hotmail.com",
    "hotmil.com": "hotmail.com", "hotnail.com": "hotmail.com", "hotmaill.com": "hotmail.com",
    "hotmail.con": "hotmail.com", "hotmail.cmo": "hotmail.com", "homtail.com": "hotmail.com",
    "yahooo.com": "yahoo.com", "yaho.com": "yahoo.com", "yhaoo.com": "yahoo.com", "yahoo.con": "yahoo.com",
    "outlok.com": "outlook.com", "outloook.com": "outlook.com", "outllok.com": "outlook.com",
    "outlook.co": "outlook.com", "iclould.com": "icloud.com", "icoud.com": "icloud.com", "icluod.com": "icloud.com",
    "googlemial.com": "googlemail.com", "hotmail.co.ku": "hotmail.co.uk", "t-onlne.de": "t-online.de",
    "t-onilne.de": "t-online.de", "frenet.de": "freenet.de", "protonmial.com": "protonmail.com",
    "wanadooo.fr": "wanadoo.fr", "comcats.net": "comcast.net",
}  # fmt: skip
_NEIGHBOURS = """
mail.com gmx.com gmx.de gmx.net ymail.com email.com rocketmail.com me.com mac.com live.de live.fr aol.de hotmail.de
hotmail.se hotmail.no hotmail.nl yahoo.ca yahoo.in yahoo.ie outlook.dk outlook.jp googlemail.com mail.de mail.ru
email.de gmail.com web.de free.fr sfr.fr aon.at a1.net pm.me proton.me hey.com qq.com 163.com 126.com wp.pl o2.pl
bell.net att.net cox.net gm.com gma.at mgmail.org hotel.com hotwire.com outlooks.org yale.edu yahoo-inc.com cloud.com
icloudy.net online.de free.de comcast.com verizon.com web.dev weg.de wed.de orange.com range.fr gail.com.au lime.com
life.com live.org lice.com aol.net acl.com msn.org man.com gmat.org
"""
NEIGHBOURS = _NEIGHBOURS.split()


def test_slips_are_seen_and_neighbours_let_alone_though_they_take_mail() -> None:
    """The corpus is our own: slips as hands make them, and real domains near to large ones."""
    hits = {typed for typed, meant in SLIPS.items() if domain_meant(typed, takes_mail=True) == meant}
    wrong = {typed for typed, meant in SLIPS.items() if domain_meant(typed, takes_mail=True) not in ("", meant)}
    false = {domain for domain in NEIGHBOURS if domain_meant(domain, takes_mail=True)}

    assert (wrong, false) == (set(), set())
    assert set(SLIPS) - hits <= {"hotmail.co.ku"}  # its ending is another: only where no mail is taken


def test_where_no_mail_is_taken_more_counts_as_a_slip() -> None:
    assert {typed: domain_meant(typed, takes_mail=False) for typed in SLIPS} == SLIPS
    assert domain_meant("gmxx.de", takes_mail=False) == "gmx.de"
    assert domain_meant("gmxx.de", takes_mail=True) == ""
    assert domain_meant("somewhere-else.org", takes_mail=False) == ""


@pytest.mark.parametrize(
    ("typed", "meant", "count"),
    [("gmail", "gmail", 0), ("gmial", "gmail", 0.5), ("gnail", "gmail", 0.5), ("gmaill", "gmail", 0.5),
     ("gmal", "gmail", 1), ("gmxil", "gmail", 1), ("yaho", "yahoo", 0.5), ("", "abc", 3)],
)  # fmt: skip
def test_likely_slips_count_half(typed: str, meant: str, count: float) -> None:
    assert slips(typed, meant) == count


@pytest.mark.parametrize(
    ("typed", "verdict", "code", "suggestion"),
    [
        ("", Verdict.REFUSE, "empty", ""),
        ("  ", Verdict.REFUSE, "empty", ""),
        ("jane", Verdict.REFUSE, "syntax", ""),
        ("jane@gmail,com", Verdict.REFUSE, "syntax", "jane@gmail.com"),
        ("jane@gmailcom", Verdict.REFUSE, "syntax", "jane@gmail.com"),
        ("jane doe@gmial.com", Verdict.REFUSE, "syntax", "janedoe@gmail.com"),
        ("jane.@web.de", Verdict.REFUSE, "syntax", "jane@web.de"),
        ("<jane@web.de>", Verdict.REFUSE, "syntax", "jane@web.de"),
        ("jane@@web.de", Verdict.REFUSE, "syntax", ""),
        ("x" * 5000 + "@web.de", Verdict.REFUSE, "syntax", ""),
        ("jane@mailinator.com", Verdict.REFUSE, "disposable", ""),
        ("jane@box.mailinator.com", Verdict.REFUSE, "disposable", ""),
    ],
)
def test_what_needs_no_network_is_said_at_once(typed: str, verdict: Verdict, code: str, suggestion: str) -> None:
    found = address_check(typed)

    assert (found.verdict, found.code, found.suggestion) == (verdict, code, suggestion)


def test_mailboxes_of_several_people() -> None:
    for address in ("info@example.org", "no-reply@x.org", "news+de@x.org", "no_reply@x.org", "all-request@x.org"):
        assert role_address(address), address
    for address in ("informant@example.org", "mary.sales@x.org", "office99@x.org"):
        assert not role_address(address), address


def test_forwarding_to_a_kept_mailbox_is_not_throwing_away() -> None:
    assert not any(map(disposable_domain, ("duck.com", "mozmail.com", "privaterelay.appleid.com", "gmail.com")))


@given(some.text(max_size=60))
@bounded(max_examples=tries(60), deadline=None)
def test_whatever_is_typed_without_a_domain_gets_an_answer(typed: str) -> None:
    found = address_check(typed.replace("@", ""))

    assert found.verdict == Verdict.REFUSE
    assert found.code in ("empty", "syntax")
