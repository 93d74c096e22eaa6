"""The catcher's page: the list of mails with a search, and each mail as HTML, text, headers and source.

What it shows came from outside. Everything is escaped; a mail's HTML is shown in a sandboxed frame with a policy that
lets no script run and nothing be loaded, except images from the demo's own web server.
"""

import html
import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from bin.lib.mailbox import Entry, Mailbox, Parsed, mail_parse

PAGE_SIZE = 50
SHOWN = 1_000_000
"""Characters of a text or a source that are shown; the file has all."""
POLICY = "; ".join(
    f"{name} {source}"
    for name, source in {
        "default-src": "'none'",
        "style-src": "'self'",
        "frame-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }.items()
)
VIEWS = {"html": "As sent", "text": "Plain text", "headers": "Headers", "source": "Source"}

Answer = tuple[int, str, bytes, str]
"""Status, content type, body, Content-Security-Policy."""


def escape(text: str) -> str:
    """Text for HTML, without half characters, which UTF-8 can't hold."""
    return html.escape(text.encode("utf-8", "replace").decode())


def _layout(title: str, body: str) -> bytes:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body><div class="wrap">{body}</div></body>
</html>
""".encode()


def _clock(entry: Entry) -> str:
    moment = datetime.fromisoformat(entry.at)
    return f'<time datetime="{escape(entry.at)}">{moment:%d %b %Y}<br>{moment:%H:%M:%S} UTC</time>'


def _search_form(words: str) -> str:
    return (
        '<form action="/" role="search"><input type="search" name="q" aria-label="Search subject and addresses" '
        f'placeholder="Search subject and addresses" value="{escape(words)}"><button>Search</button></form>'
    )


def list_page(mailbox: Mailbox, words: str, number: int) -> bytes:
    """The list of mails, newest first."""
    found = mailbox.search(words)
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = min(max(number, 1), pages)
    rows = [
        f'<li><a href="/message/{quote(entry.id)}"><strong>{escape(entry.subject) or "(no subject)"}</strong>'
        f'<span class="to">{escape(", ".join(entry.recipients))}</span>{_clock(entry)}</a></li>'
        for entry in found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    ]
    if rows:
        content = f'<ul class="list">{"".join(rows)}</ul>'
    elif words:
        content = '<p class="empty">No mail has all of these words in its subject or addresses.</p>'
    else:
        content = '<p class="empty">No mail yet. What Tessera sends arrives here; load the page again to see it.</p>'
    turn = ""
    if pages > 1:
        query = f"q={quote(words)}&amp;" if words else ""
        newer = f'<a href="/?{query}page={number - 1}" rel="prev">Newer</a>' if number > 1 else ""
        older = f'<a href="/?{query}page={number + 1}" rel="next">Older</a>' if number < pages else ""
        turn = f'<nav aria-label="Pages">{newer}<span class="quiet">Page {number} of {pages}</span>{older}</nav>'
    count = "1 mail" if len(found) == 1 else f"{len(found):,} mails"
    return _layout(
        "Mail catcher",
        f'<header><h1><a href="/">Mail catcher</a></h1>{_search_form(words)}</header>'
        f'<p class="quiet">{count}{" found" if words else ""}. Nothing here was sent to anybody.</p>'
        f'<main class="sheet">{content}</main>{turn}',
    )


def _view(entry: Entry, parsed: Parsed | None, source: bytes, view: str) -> str:
    if view == "html" and parsed and parsed.html is not None:
        return (
            f'<iframe title="The message as sent" src="/message/{quote(entry.id)}/html" '
            'sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>'
        )
    if view == "text" and parsed and parsed.text is not None:
        return f"<pre>{escape(parsed.text[:SHOWN])}</pre>"
    if view == "headers" and parsed:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in parsed.headers)
        parts = "".join(f"<dt>Part</dt><dd>{escape(part)}</dd>" for part in parsed.parts)
        return f'<dl class="headers">{rows}{parts}</dl>'
    if view == "source":
        return f"<pre>{escape(source[:SHOWN].decode('utf-8', 'replace'))}</pre>"
    return '<p class="empty">This message has no such part.</p>'


def message_page(entry: Entry, source: bytes, view: str) -> bytes:
    """One mail, in one of its views."""
    parsed = mail_parse(source)
    if view not in VIEWS:
        view = "html" if parsed and parsed.html is not None else "text" if parsed else "source"
    tabs = "".join(
        f'<a href="?view={key}"{" aria-current=page" if key == view else ""}>{label}</a>'
        for key, label in VIEWS.items()
    )
    subject = entry.subject or "(no subject)"
    return _layout(
        subject,
        f'<header><h1>{escape(subject)}</h1><a href="/">All mails</a></header>'
        f'<div class="sheet"><dl><dt>From</dt><dd>{escape(entry.author)}</dd>'
        f"<dt>To</dt><dd>{escape(', '.join(entry.recipients))}</dd>"
        f"<dt>Arrived</dt><dd>{datetime.fromisoformat(entry.at):%d %b %Y, %H:%M:%S} UTC · {entry.size:,} bytes · "
        f'<a href="/message/{quote(entry.id)}/source">file</a></dd></dl></div>'
        f'<nav aria-label="Views">{tabs}</nav><main class="sheet">{_view(entry, parsed, source, view)}</main>',
    )


def _frame(source: bytes, images_from: str) -> Answer:
    parsed = mail_parse(source)
    if not parsed or parsed.html is None:
        return 404, "text/plain; charset=utf-8", b"This message has no HTML.", POLICY
    # Links open in a tab of their own: the frame may not navigate the page around it.
    body = ('<base target="_blank">' + parsed.html).encode("utf-8", "replace")
    policy = (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src data: {images_from}; frame-ancestors 'self'"
    )
    return 200, "text/html; charset=utf-8", body, policy


def answer(mailbox: Mailbox, target: str, images_from: str) -> Answer:
    """What a GET of this target gets."""
    url = urlsplit(target)
    query = parse_qs(url.query)
    page_type = "text/html; charset=utf-8"
    if url.path == "/":
        number = query.get("page", ["1"])[0]
        words = query.get("q", [""])[0][:200]
        return (
            200,
            page_type,
            list_page(mailbox, words, int(number) if number.isascii() and number.isdigit() else 1),
            POLICY,
        )
    if url.path == "/style.css":
        return 200, "text/css; charset=utf-8", Path(__file__).with_name("catcher.css").read_bytes(), POLICY
    if url.path == "/health":
        return 200, "text/plain; charset=utf-8", b"ok", POLICY
    if url.path.startswith("/message/"):
        # An id is a folder and a name; behind it may be what of the mail is wanted.
        folder, _, rest = url.path.removeprefix("/message/").partition("/")
        name, _, part = rest.partition("/")
        entry = mailbox.find(f"{folder}/{name}")
        if entry and not part:
            return 200, page_type, message_page(entry, mailbox.source(entry), query.get("view", [""])[0]), POLICY
        if entry and part == "html":
            return _frame(mailbox.source(entry), images_from)
        if entry and part == "source":
            return 200, "text/plain; charset=utf-8", mailbox.source(entry), POLICY
    missing = '<header><h1>Nothing here</h1><a href="/">All mails</a></header>'
    return 404, page_type, _layout("Nothing here", missing), POLICY


def _handler(respond: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class PageHandler(BaseHTTPRequestHandler):
        """Answers GET; the names of its methods are the library's."""

        timeout = 30
        server_version = "Catcher"
        sys_version = ""

        def do_GET(self) -> None:
            # A page elsewhere whose name was pointed at 127.0.0.1 (DNS rebinding) asks under its own name.
            host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            if host not in {"127.0.0.1", "localhost", "[::1]"}:
                status, kind, body, policy = (
                    403,
                    "text/plain; charset=utf-8",
                    b"Ask for 127.0.0.1 or localhost.",
                    POLICY,
                )
            else:
                try:
                    status, kind, body, policy = respond(self.path)
                except (OSError, ValueError):
                    status, kind, body, policy = 404, "text/plain; charset=utf-8", b"This can't be shown.", POLICY
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing: addresses are searched for."""

    return PageHandler


def page_serve(mailbox: Mailbox, *, port: int, images_from: str) -> ThreadingHTTPServer:
    """Serves the page in threads of its own; `shutdown()` ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(lambda target: answer(mailbox, target, images_from)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
