"""Whether a domain takes mail, asked of a real name server over UDP."""

from collections.abc import Iterator
from typing import cast

import pytest
import redis
from pytest_django import Settings

from apps.data.profiles.address_check import address_check
from apps.data.profiles.mail_hosts import mail_host_find
from apps.data.profiles.rules import MailHost, Verdict
from tests.data.profiles.name_server import FAILS, HANGS, WALLED, NameServer, name_server

RECORDS: dict[str, dict[str, list[str]] | str] = {
    "shop.example.net": {"MX": ["10 mx1.example.net.", "20 mx2.example.net."]},
    "only-a.net": {"A": ["192.0.2.1"]},
    "only-aaaa.net": {"AAAA": ["2001:db8::1"]},
    "web-only.net": {"TXT": ["nothing here"]},
    "null-mx.net": {"MX": ["0 ."], "A": ["192.0.2.1"]},
    "gnail.com": {"MX": ["10 squatter.example.net."]},
    "gmail.com": {"MX": ["5 gmail-smtp-in.l.google.com."]},
    "hangs.net": HANGS,
    "fails.net": FAILS,
    "walled.net": WALLED,
}


@pytest.fixture
def server(settings: Settings, clean_redis: "redis.Redis") -> Iterator[NameServer]:
    with name_server(RECORDS) as running:
        settings.DNS_SERVERS = [running.address]
        yield running


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("shop.example.net", MailHost.TAKES),
        ("only-a.net", MailHost.TAKES),  # RFC 5321, 5.1: an implicit MX
        ("only-aaaa.net", MailHost.TAKES),
        ("null-mx.net", MailHost.REFUSES),  # RFC 7505, although there is an A record
        ("web-only.net", MailHost.NONE),
        ("not-there.net", MailHost.NONE),
        ("fails.net", MailHost.UNKNOWN),
        ("walled.net", MailHost.UNKNOWN),  # RFC 2308: a denial without SOA is nobody's word
    ],
)
def test_what_dns_says_of_a_domain(domain: str, found: MailHost, server: NameServer) -> None:
    assert mail_host_find(domain) == found


def test_an_answer_is_asked_for_once(server: NameServer) -> None:
    for domain in ("shop.example.net", "not-there.net"):
        assert mail_host_find(domain) == mail_host_find(domain)

    assert server.asked == {"shop.example.net": 1, "not-there.net": 1}


def test_no_domain_can_be_read_in_redis(server: NameServer, clean_redis: "redis.Redis") -> None:
    mail_host_find("shop.example.net")

    keys = [key.decode() for key in cast("list[bytes]", clean_redis.keys("mail-host:*"))]
    assert len(keys) == 1
    assert "example" not in keys[0]
    assert 0 < clean_redis.ttl(keys[0]) <= 24 * 3600


def test_a_server_that_hangs_holds_nobody(server: NameServer, settings: Settings, clean_redis: "redis.Redis") -> None:
    settings.MAIL_HOST_SECONDS = 0.2

    found = address_check("jane@hangs.net")

    assert (found.verdict, found.code) == (Verdict.OK, "")
    assert mail_host_find("hangs.net") == MailHost.UNKNOWN
    assert (
        0 < clean_redis.ttl(cast("list[bytes]", clean_redis.keys("mail-host:*"))[0]) <= 30
    )  # and it's asked again soon


def test_nobody_at_the_other_end_is_unknown(settings: Settings, clean_redis: "redis.Redis") -> None:
    settings.DNS_SERVERS, settings.MAIL_HOST_SECONDS = ["127.0.0.1:9"], 0.2

    assert mail_host_find("shop.example.net") == MailHost.UNKNOWN


def test_without_redis_each_is_asked_anew(server: NameServer, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    assert [mail_host_find("shop.example.net") for _ in range(2)] == [MailHost.TAKES] * 2
    assert server.asked["shop.example.net"] == 2


@pytest.mark.parametrize(
    ("typed", "verdict", "code", "suggestion"),
    [
        ("Jane@Shop.Example.net", Verdict.OK, "", ""),
        ("info@shop.example.net", Verdict.WARN, "role", ""),
        ("jane@not-there.net", Verdict.REFUSE, "no_mail", ""),
        ("jane@web-only.net", Verdict.REFUSE, "no_mail", ""),
        ("jane@null-mx.net", Verdict.REFUSE, "null_mx", ""),
        ("jane@fails.net", Verdict.OK, "", ""),  # what can't be known is not held against anybody
        ("jane@gnail.com", Verdict.WARN, "typo", "jane@gmail.com"),  # squatters take mail there
        ("jane@gmial.com", Verdict.REFUSE, "disposable", "jane@gmail.com"),  # and hand out mailboxes
        ("jane@gmaill.con", Verdict.REFUSE, "no_mail", "jane@gmail.com"),
        ("jane@gmail.com", Verdict.OK, "", ""),
    ],
)
def test_what_comes_of_an_address(typed: str, verdict: Verdict, code: str, suggestion: str, server: NameServer) -> None:
    found = address_check(typed)

    assert (found.verdict, found.code, found.suggestion) == (verdict, code, suggestion)
    assert found.address == typed.lower()
