"""An e-mail address looked at as it is typed: what is wrong, what is odd, and what was probably meant.

Only what surely can't work is refused: no address at all, a domain that takes no mail, a throwaway mailbox. All else is
a word of caution that the person may pass over. Says nothing about whether the address is known here.
"""

from dataclasses import dataclass, replace
from typing import Final

from disposable_email_domains import blocklist

from apps.foundation.core.errors import Invalid

from .mail_hosts import mail_host_find
from .normalize import email_normalize
from .rules import ROLE, AddressFacts, MailHost, Verdict, address_judge
from .typos import domain_meant

TYPED_LIMIT: Final = 320
"""Characters that are looked at."""


@dataclass(frozen=True, slots=True)
class AddressCheck:
    """What was found. address: normalized, `""` if it is none; suggestion: an address that was probably meant, or `""`.

    code: `""`; refused are `empty`, `syntax`, `disposable`, `no_mail` (nothing takes mail there) and `null_mx` (it says
    so itself); cautioned are `typo` and `role` (a mailbox of several people).
    """

    verdict: Verdict
    code: str
    address: str = ""
    suggestion: str = ""


_RFC_2142 = """
info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp
"""
_ENGLISH = """
account accounting accounts admin administrator all billing booking bookings careers compliance contact contacts
customercare customerservice dpo devnull dns enquiries everyone feedback finance hello help helpdesk hr inquiries
invoice invoices it jobs legal list listserv mail mailer-daemon maildaemon media newsletter nobody no-reply noreply
donotreply do-not-reply office order orders payroll phish phishing pr press privacy recruiting registrar reception
root service services shop spam staff store subscribe sysadmin team tech undisclosed-recipients unsubscribe web
"""
_OTHER_LANGUAGES = """
anfrage bestellung bestellungen bewerbung buchhaltung buero datenschutz einkauf empfang kontakt kundenservice personal
presse rechnung rechnungen redaktion sekretariat service-center verkauf vertrieb verwaltung accueil commande commandes
comptabilite contactez-nous direction facturation recrutement reclamations secretariat service-client serviceclient
ventes administracion atencioncliente clientes compras contacto facturacion informacion pedidos prensa recepcion
reservas soporte ventas amministrazione assistenza commerciale contatti fatture ordini prenotazioni segreteria ufficio
vendite
"""
ROLES: Final = frozenset((_RFC_2142 + _ENGLISH + _OTHER_LANGUAGES).split())
"""Mailboxes that several people read, or none."""

_SLIPS_OF_DOTS = str.maketrans({",": ".", ";": ".", "。": ".", "．": ".", "＠": "@"})


def role_address(address: str) -> bool:
    """Whether a normalized address is that of a role (RFC 2142), with what is behind a + left out."""
    local = address.rpartition("@")[0].partition("+")[0]
    return local in ROLES or local.endswith("-request") or local.replace("_", "-").replace(".", "-") in ROLES


def disposable_domain(domain: str) -> bool:
    """Whether a domain, or one above it, hands out mailboxes to throw away (list of the library, not asked for online).

    Services that forward to a mailbox somebody keeps (duck.com, mozmail.com) are none.
    """
    return any(one in blocklist for one in domains_above(domain))


def domains_above(domain: str) -> list[str]:
    """A domain and those above it, but for the last: a.b.example, b.example."""
    labels = domain.split(".")
    return [".".join(labels[place:]) for place in range(len(labels) - 1)]


def address_facts(address: str) -> AddressFacts:
    """What can be told of an address without asking anybody: its syntax, its domain, its mailbox."""
    try:
        normalized = email_normalize(address[:TYPED_LIMIT])
    except Invalid:
        return AddressFacts(readable=False)
    return AddressFacts(
        disposable=disposable_domain(normalized.rpartition("@")[2]),
        role=role_address(normalized),
    )


def address_check(typed: str) -> AddressCheck:
    """Look at an address, with DNS unless its answer is known. Within a second or so; never raises."""
    typed = typed.strip()
    if not typed:
        return AddressCheck(Verdict.REFUSE, "empty")
    facts = address_facts(typed)
    if not facts.readable:
        return AddressCheck(Verdict.REFUSE, address_judge(facts).code, suggestion=_mended(typed))
    address = email_normalize(typed[:TYPED_LIMIT])
    local, _, domain = address.rpartition("@")
    judged = address_judge(facts)
    if judged.verdict == Verdict.REFUSE:  # a throwaway; some of them live on slips: gmial.com is one
        meant = domain_meant(domain, takes_mail=True)
        return AddressCheck(judged.verdict, judged.code, address, f"{local}@{meant}" if meant else "")
    host = mail_host_find(domain)
    judged = address_judge(replace(facts, host=host))
    meant = domain_meant(domain, takes_mail=host in (MailHost.TAKES, MailHost.UNKNOWN))
    suggestion = f"{local}@{meant}" if meant else ""
    if judged.verdict == Verdict.REFUSE:
        return AddressCheck(judged.verdict, judged.code, address, suggestion)
    if suggestion:
        return AddressCheck(Verdict.WARN, "typo", address, suggestion)
    if judged.code == ROLE:
        return AddressCheck(judged.verdict, judged.code, address)
    return AddressCheck(Verdict.OK, "", address)


def _mended(typed: str) -> str:
    """What was meant by something that is no address, where one slip explains it: a comma, a blank, no dot, no @."""
    text = "".join(typed.translate(_SLIPS_OF_DOTS).split()).strip(".<>()\"'").replace("..", ".")
    local, at, domain = text.rpartition("@")
    if at and local and "@" not in local:
        local, domain = local.strip("."), domain.strip(".").lower()
        text = f"{local}@{domain_meant(domain, takes_mail=False) or domain}"
    try:
        mended = email_normalize(text[:TYPED_LIMIT])
    except Invalid:
        return ""
    return mended if mended != typed.lower() else ""
