"""A rendered message looked at from outside."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.content.inspection import html_look, text_look
from tests.examples import tries

HOSTS = ("shop.example",)
LEAVE = "https://links.example/u/1"
WHOLE = (
    '<!DOCTYPE html><html><head><title>a &lt; b</title><!--[if !mso]><!--><meta http-equiv="X-UA-Compatible" '
    'content="IE=edge"><!--<![endif]--><style>p { color: red }</style></head><body><!--[if mso | IE]><table><tr><td>'
    '<![endif]--><p>Good day</p><br><img src="https://shop.example/a.png" alt="a > b"/>'
    f'<a href="{LEAVE}">leave</a><!--[if mso | IE]></td></tr></table><![endif]--></body></html>'
)


def faults(html: str) -> list[tuple[str, str]]:
    return html_look(html, hosts=HOSTS, links=[LEAVE]).faults


def test_a_whole_message_has_no_faults_and_its_words_are_read() -> None:
    looked = html_look(WHOLE, hosts=HOSTS, links=[LEAVE])

    assert looked.faults == []
    assert looked.words == "Good dayleave"


@pytest.mark.parametrize(
    ("html", "token", "words"),
    [
        ("<p>x", "<p>", "is not closed"),
        ("x</p>", "</p>", "closes what is not open"),
        ("<b><i>x</b></i>", "<i>", "is not closed before </b>"),
        ("<p>a < b</p>", "< b</p>", "no whole tag"),
        ('<p title="a>x</p>', '<p title="a>x</p>', "no whole tag"),
        ("<p>x<", "<", "no whole tag"),
        ("<!-- x", "<!-- x", "no whole tag"),
        ("<script>x</script>", "<script>", "may not be"),
        ("<SCRIPT>x</SCRIPT>", "<script>", "may not be"),
        ("<svg/>", "<svg>", "may not be"),
        ('<form action="https://shop.example/"></form>', "<form>", "may not be"),
        ('<p onclick="x">x</p>', "onclick=", "acts"),
        ("<p OnClick='x'>x</p>", "onclick=", "acts"),
        ("<p onclick>x</p>", "onclick=", "acts"),
        ('<a href="javascript:alert(1)">x</a>', 'href="javascript:alert(1)"', "not a web address"),
        ('<a href="&#106;avascript:alert(1)">x</a>', 'href="javascript:alert(1)"', "not a web address"),
        ("<a href='JaVaScRiPt:x'>x</a>", 'href="JaVaScRiPt:x"', "not a web address"),
        ('<a href="java\tscript:x">x</a>', 'href="java script:x"', "not a web address"),
        ('<a href="data:text/html,x">x</a>', 'href="data:text/html,x"', "not a web address"),
        ('<a href="//shop.example/">x</a>', 'href="//shop.example/"', "not a web address"),
        ('<a href="mailto:a@shop.example">x</a>', 'href="mailto:a@shop.example"', "not a web address"),
        ('<a href="">x</a>', 'href=""', "not a web address"),
        ('<a href="https://evil.example/">x</a>', 'href="https://evil.example/"', "does not allow"),
        ('<a href="http://shop.example/">x</a>', 'href="http://shop.example/"', "not encrypted"),
        ('<img src="https://evil.example/x.png">', 'src="https://evil.example/x.png"', "does not allow"),
        ('<td background="https://evil.example/">x</td>', 'background="https://evil.example/"', "does not allow"),
        ('<p style="background:url(https://evil.example/)">x</p>', "url(https://evil.example/)", "does not allow"),
        ("<p style='background: URL( \"javascript:x\" )'>x</p>", "url(javascript:x)", "not a web address"),
        ("<style>p{background:url('https://evil.example/')}</style>", "url(https://evil.example/)", "does not allow"),
        ("<style>@import 'x';</style>", "@import", "may not be in a style"),
        ('<p style="width:expression(1)">x</p>', "expression(", "may not be in a style"),
        ('<meta http-equiv="refresh" content="0">', 'http-equiv="refresh"', "may not be"),
        ("<!-- a <!-- b -->", "<!--", "in another comment"),
        (
            '<!--[if mso]><v:fill src="https://evil.example/" /><![endif]-->',
            'src="https://evil.example/"',
            "as Outlook",
        ),
        ("<!--[if mso]><table><![endif]-->x", "<table>", "as Outlook"),
        ('<!--[if !mso]><!--><a href="x:y">x</a><!--<![endif]-->', 'href="x:y"', "not a web address"),
    ],
)
def test_a_fault_is_found_and_named(html: str, token: str, words: str) -> None:
    found = faults(html)

    assert any(entry[0] == token and words in entry[1] for entry in found), found


def test_loopback_may_be_plain_http_for_the_demo() -> None:
    assert html_look('<a href="http://localhost:8000/x">x</a>', hosts=["localhost"], links=[]).faults == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://shop.example/a, and (https://shop.example/b).", []),
        (f"Leave: {LEAVE}", []),
        ("Leave:https://evil.example/x.", ["https://evil.example/x"]),
        ("http://shop.example/", ["http://shop.example/"]),
        ("javascript:alert(1)", ["javascript:alert(1"]),
        ("ftp://shop.example/", ["ftp://shop.example/"]),
        ("Note: nothing", []),
    ],
)
def test_addresses_in_text(text: str, found: list[str]) -> None:
    assert [token for token, _ in text_look(text, hosts=HOSTS, links=[LEAVE])] == found


@given(st.text(st.sampled_from("<>/!-[]\"'= abscript:onurl()&#;\n")))
@settings(max_examples=tries(150), deadline=None)
def test_nothing_makes_it_fail(html: str) -> None:
    looked = html_look(html, hosts=HOSTS, links=[])

    assert ("<script" in html.lower() and ">" in html) <= bool(looked.faults or "<!--" in html or "<style" in html)
