"""What `bin/demo --check` looks at: the mails that arrived, the ledger, the links in a mail, the pages."""

import http.cookiejar
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass

import psycopg2

from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.text import is_blank
from bin.lib.installation import LOCAL, Installation
from bin.lib.mailbox import Mailbox, mail_parse
from bin.lib.processes import ProcessDied, Supervisor
from bin.lib.progress import Progress

SETTLE_SECONDS = 300.0
LEFTOVERS = re.compile(r"\{\{|\}\}|\{%|%\}|\[\[|\]\]|\bNone\b|\bundefined\b")
LINK = re.compile(r"https?://[^\s\"'<>]+")
SHOWN_FAULTS = 20


@dataclass
class Mail:
    """One caught mail, taken apart."""

    subject: str
    text: str
    html: str
    unsubscribe: str
    """The one-click link of its List-Unsubscribe header."""


class Database:
    """Reads what the ledger says."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def number(self, statement: str, *values: object) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone()
            return int(row[0]) if row and row[0] is not None else 0

    def counts(self, statement: str, *values: object) -> dict[str, int]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return {str(name): int(count) for name, count in cursor.fetchall()}


def settled(database: Database, run: int) -> bool:
    """Whether a run is decided, all that it decided to send is taken up, and nothing is on its way."""
    if database.number("SELECT count(*) FROM playbooks_run WHERE id = %s AND state = 'decided'", run) == 0:
        return False
    planned = database.number("SELECT count(*) FROM decisions_decision WHERE run_id = %s AND outcome = 'send'", run)
    taken = database.number(
        "SELECT count(*) FROM sending_message m JOIN sending_dispatch d ON d.id = m.dispatch_id WHERE d.run_id = %s",
        run,
    )
    moving = database.number(
        "SELECT count(*) FROM sending_message WHERE state IN ('queued', 'claimed', 'sending', 'retry')"
    )
    return taken >= planned and moving == 0


def mail_read(source: bytes) -> tuple[Mail, list[str]]:
    """Takes a mail apart and says what is wrong with it."""
    parsed = mail_parse(source)
    if parsed is None:
        return Mail("", "", "", ""), ["doesn't parse"]
    faults = [f"doesn't parse: {defect}" for defect in parsed.defects]
    headers = {name.lower(): value for name, value in parsed.headers}
    for name in ("From", "To", "Subject", "Date", "Message-ID"):
        if is_blank(headers.get(name.lower(), "")):
            faults.append(f"has no {name}, or a blank one")
    subject, text, markup = headers.get("subject", ""), parsed.text or "", parsed.html or ""
    for where, shown in {"text": text, "HTML": re.sub(r"<[^>]*>", "", markup)}.items():
        if is_blank(shown):
            faults.append(f"has no {where}, or a blank one")
    for where, shown in {"subject": subject, "text": text, "HTML": markup}.items():
        if found := LEFTOVERS.search(shown):
            faults.append(f"shows {found[0]!r} in its {where}")
    links = re.findall(r"<(https?://[^>]+)>", headers.get("list-unsubscribe", ""))
    if not links:
        faults.append("has no link in List-Unsubscribe (RFC 2369)")
    if headers.get("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
        faults.append("has no List-Unsubscribe-Post (RFC 8058)")
    return Mail(subject, text, markup, links[0] if links else ""), faults


def ask(url: str, form: dict[str, str] | None = None) -> int:
    """The status that a GET, or with a form a POST, gets."""
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    try:
        with LOCAL.open(url, data=data, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def choices_check(database: Database, house: Installation, mail: Mail) -> list[str]:
    """One-click unsubscribing: a GET changes nothing, a POST withdraws; the preference page opens without a login."""
    faults = []
    ledger = "SELECT count(*) FROM consent_consentrecord"
    before = database.number(ledger)
    if not mail.unsubscribe.startswith(house.url + "/"):
        return [f"the unsubscribe link leads elsewhere: {mail.unsubscribe.split('?')[0]}"]
    if (status := ask(mail.unsubscribe)) != 200:
        faults.append(f"GET of the unsubscribe link gives {status}")
    if database.number(ledger) != before:
        faults.append("GET of the unsubscribe link changed consent")
    if not 200 <= (status := ask(mail.unsubscribe, {"List-Unsubscribe": "One-Click"})) < 300:
        faults.append(f"POST to the unsubscribe link gives {status}")
    if database.number(ledger) <= before:
        faults.append("POST to the unsubscribe link withdrew nothing")
    own = [link for link in LINK.findall(mail.text) if link.startswith(f"{house.url}/p/")]
    if not own:
        faults.append("the mail's text has no link to the preferences")
    elif (status := ask(own[0])) != 200:
        faults.append(f"the preference page gives {status}")
    return faults


def logins_check(house: Installation) -> list[str]:
    """One person of each role can sign in to the admin."""
    faults = []
    for role in ROLES:
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
        address = f"{house.url}/admin/login/?next=/admin/"
        try:
            browser.open(address, timeout=20).read()
            token = next((cookie.value or "" for cookie in jar if cookie.name == "csrftoken"), "")
            form = {"username": f"{role.code}@shop.example", "password": house.secrets.demo_password}
            form |= {"csrfmiddlewaretoken": token, "next": "/admin/"}
            with browser.open(address, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
                if answer.status != 200 or answer.url != f"{house.url}/admin/":
                    faults.append(f"{role.code} can't sign in: ends at {answer.url}")
        except (urllib.error.URLError, OSError) as error:
            faults.append(f"{role.code} can't sign in: {error}")
    return faults


def mails_check(house: Installation, sent: int) -> tuple[list[Mail], list[str]]:
    """All mails: as many as were sent, each whole, none twice, not all the same."""
    mailbox = Mailbox(house.mail_folder)
    faults: list[str] = []
    mails = []
    for entry in mailbox.entries:
        mail, wrong = mail_read(mailbox.source(entry))
        mails.append(mail)
        faults += [f"the mail {entry.id} {fault}" for fault in wrong]
    if len(faults) > SHOWN_FAULTS:
        faults = [*faults[:SHOWN_FAULTS], f"and {len(faults) - SHOWN_FAULTS:,} faults more"]
    if not mails:
        faults.append("no mail arrived")
    if len(mails) != sent:
        faults.append(f"{len(mails):,} mails arrived, {sent:,} messages are recorded as sent")
    twice = [key for key, count in Counter(entry.message_id for entry in mailbox.entries).items() if count > 1]
    if twice:
        faults.append(f"{len(twice):,} Message-IDs came more than once")
    if mails and len({LINK.sub("", mail.text) for mail in mails}) < 2:
        faults.append("all mails say the same: nothing is personal")
    return mails, faults


def check(
    progress: Progress, supervisor: Supervisor, house: Installation, occasion: str, *, first_mail: float
) -> list[str]:
    """Waits until the run is through, looks at everything, prints a summary, and gives the faults."""
    database = Database(house.servers.database_owner_url)
    run = database.number("SELECT id FROM playbooks_run WHERE occasion_key = %s", occasion)
    with progress.step("Waiting until the run is through"):
        limit = time.monotonic() + SETTLE_SECONDS
        while not settled(database, run):
            supervisor.check()
            if time.monotonic() > limit:
                states = database.counts("SELECT state, count(*) FROM sending_message GROUP BY state")
                raise ProcessDied(f"the run isn't through after {SETTLE_SECONDS:.0f} s: {states}")
            progress.note = f"{house.mails():,} mails"
            time.sleep(0.2)
    through = progress.seconds()
    sent = database.number(
        "SELECT count(*) FROM sending_message WHERE state IN ('sent', 'delivered', 'bounced', 'complained')"
    )
    with progress.step("Looking at every mail"):
        mails, faults = mails_check(house, sent)
    outcomes = database.counts("SELECT outcome, count(*) FROM decisions_decision WHERE run_id = %s GROUP BY 1", run)
    lost = database.counts(
        "SELECT state, count(*) FROM sending_message WHERE state IN ('failed', 'uncertain') GROUP BY 1"
    )
    faults += [f"{count:,} messages are {state}" for state, count in lost.items()]
    if mails:
        with progress.step("Following the links of a mail"):
            faults += choices_check(database, house, mails[0])
    with progress.step("Signing in as each role"):
        faults += logins_check(house)
    if (status := ask(f"{house.url}/live/nothing-here")) not in {403, 404}:
        faults.append(f"/live/ isn't served by the ASGI process: it gives {status}")
    people = sum(outcomes.values())
    withheld = ", ".join(f"{count:,} {reason}" for reason, count in sorted(outcomes.items()) if reason != "send")
    progress.say(f"""
People in the audience    {people:,}
Withheld by the decision  {withheld or "nobody"}
Sent and arrived          {sent:,} and {len(mails):,}
Subjects, texts           {len({mail.subject for mail in mails}):,} and \
{len({LINK.sub("", mail.text) for mail in mails}):,} different ones
Seconds from the start    {first_mail:.1f} to the first mail, {through:.1f} to the last""")
    database.connection.close()
    return faults
