"""What a refusal says of an address: gone for good, not now, or nothing. Pure.

Three things speak, the most telling first: words that mail servers use for one thing alone; the enhanced status code
(RFC 3463), the server's own before the reporter's; loose words, and the reply code of SMTP (RFC 5321, 4.2). A status of
class 4 is not for good, unless a server went on saying that there is no such user until the sender gave up; domains
have failures that pass. For good means the address: it does not exist, has moved, or its domain does not exist or
takes no mail.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

HARD, SOFT, OTHER = "hard", "soft", "other"
NO_SUCH_USER = "no_such_user"
UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Verdict:
    """bounce: HARD, SOFT or OTHER; reason: a word for it."""

    bounce: str
    reason: str


_CLASS: Final = {
    NO_SUCH_USER: HARD,
    "no_such_domain": HARD,
    "has_moved": HARD,
    "takes_no_mail": HARD,
    "mailbox_full": SOFT,
    "disabled": SOFT,
    "not_reached": SOFT,
    "expired": SOFT,
    "system": SOFT,
    "too_much": SOFT,
    "filtered": SOFT,
    UNDETERMINED: SOFT,
    "authentication": OTHER,
    "reputation": OTHER,
    "relaying": OTHER,
    "policy": OTHER,
    "spam": OTHER,
    "virus": OTHER,
    "too_large": OTHER,
    "content": OTHER,
    "sender": OTHER,
}

_Words = tuple[tuple[str, tuple[str, ...]], ...]

_USER: Final = (
    r"(?:user|account|mailbox|recipient|address|addressee|customer|subscriber|person|local[- ]part|mail ?box)"
)
_TELLING: Final[_Words] = (
    (
        "filtered",
        (
            r"5\d\d:? :? ?: user unknown",
            r"^(?:smtp; ?)?5\d\d ?: user unknown",
            r"refused by the recipient's filter",
        ),
    ),
    (
        "relaying",
        (
            r"relay(?:ing)?(?: access)? (?:is )?(?:denied|not (?:allowed|permitted))",
            r"not configured to relay",
            r"no relaying",
            r"unable to relay",
            r"(?:we|i) do(?: not|n't) relay",
            r"relaying prohibited",
            r"relay not permitted",
        ),
    ),
    (
        "authentication",
        (
            r"\bdmarc\b",
            r"\bdkim\b",
            r"\bspf\b",
            r"sender policy framework",
            r"unauthenticated",
            r"authentication (?:checks?|fail|require)",
            r"not authenticated",
        ),
    ),
    (
        "reputation",
        (
            r"reverse dns",
            r"\bptr\b",
            r"\brdns\b",
            r"\bfcrdns\b",
            r"block ?list",
            r"black ?list",
            r"\brbl\b",
            r"dnsbl",
            r"spamhaus",
            r"spamcop",
            r"client host rejected",
            r"(?:poor|bad|low) reputation",
            r"reputation (?:score|too)",
            r"open relay",
            r"invalid ip for sending",
            r"no access from mail server",
            r"hostname (?:is )?(?:invalid|could not)",
            r"cannot find your (?:reverse )?hostname",
            r"your (?:ip|host|server|network|mail ?server)\b.{0,40}(?:block|ban|listed|reject)",
            r"messages? from .{0,60}(?:weren't sent|temporarily deferred)",
            r"connections? (?:from|by) .{0,40}(?:block|refus|not accepted)",
            r"ip(?: address)? .{0,60}\bblock",
        ),
    ),
    (
        "mailbox_full",
        (
            r"(?:mail ?box|inbox|account|folder|disk|storage|user|recipient|message store|"
            r"maildir)[^.;]{0,40}(?:is |are |was |has )?(?:full\b|over ?(?:its )?(?:quota|limit|"
            r"flow)|exceed|too large|out of (?:space|storage))",
            r"over ?quota",
            r"quota (?:exceed|full|limit|has been)",
            r"exceed\w* .{0,30}quota",
            r"insufficient (?:system )?(?:storage|disk|space)",
            r"not enough (?:storage|disk|space)",
            r"storage (?:allocation|quota|limit)",
            r"disk quota",
            r"mailbox size",
            r"too many messages in (?:the )?mailbox",
            r"boite pleine",
            r"buz[oó]n lleno",
            r"postfach (?:ist )?voll",
            r"casella (?:postale )?piena",
        ),
    ),
    (
        "disabled",
        (
            r"(?:account|mail ?box|user|address|recipient)[^.;]{0,50}(?:disabled|suspend|deactivat|"
            r"inactive|locked|blocked|frozen|not active|not activated|expired|closed for)",
            r"(?:disabled|suspended|inactive|locked|deactivated) (?:user|account|mailbox|recipient|address)",
            r"mailbox currently suspended",
            r"(?:is )?not (?:currently )?accepting (?:messages|mail)",
        ),
    ),
    (
        "has_moved",
        (
            rf"{_USER}[^.;]{{0,40}}has (?:moved|changed)",
            r"not our customer",
            r"user not local; please try",
            r"no longer (?:at|on) this (?:server|address)",
            r"recipient .{0,30}replaced by",
        ),
    ),
    (
        "takes_no_mail",
        (
            r"null mx",
            r"indicated no smtp service",
            r"does(?: not|n't) accept (?:any )?(?:e-?)?mail",
            r"accepts no mail",
            r"no mail (?:server|exchanger)",
            r"find a mail exchanger",
            r"domain .{0,40}(?:no mx|not accept mail)",
            r"smtp protocol .{0,20}disabled",
        ),
    ),
    (
        "no_such_domain",
        (
            r"host (?:name )?(?:is )?(?:unknown|not found)",
            r"unknown host",
            r"no such (?:domain|host)",
            r"nxdomain",
            r"domain (?:name )?(?:does(?: not|n't) exist|not found|is not valid|lookup failed|unknown)",
            r"unknown domain",
            r"domain (?:is )?not reachable",
            r"unrout(?:e)?able (?:mail )?(?:domain|address)",
            r"bad destination system",
            r"(?:could(?: not|n't)|cannot|can't) (?:find|resolve|be resolved)[^.;]{0,30}(?:host|"
            r"domain|name|dns)",
            r"any host named",
            r"no data known",
            r"no (?:mx|dns|address) records?",
            r"unable to find (?:the )?(?:host|domain)",
            r"no route to (?:domain|host for)",
            r"invalid (?:domain|host) name in (?:address|recipient)",
            r"all relevant mx records point to non-existent",
            r"illegal host/domain",
            r"name or service not known",
        ),
    ),
    (
        NO_SUCH_USER,
        (
            rf"(?:unknown|unrecogni[sz]ed|non-?existent|nonexistent|undefined) (?:local[- ]?part|{_USER})",
            rf"{_USER}[^.;]{{0,60}}(?:unknown|(?:was |is )?not (?:found|recogni[sz]ed|known|valid|listed)|"
            r"does(?: not|n't) exist|did(?: not|n't) exist|no longer (?:exist|available|valid|"
            r"in use)|has been (?:removed|deleted|terminated))",
            rf"no (?:such|valid|mailbox) (?:here|{_USER}|person|recipient|name|by that name)",
            r"no mailbox here",
            rf"(?:invalid|bad|illegal) (?:{_USER}|final delivery)",
            rf"(?:is )?not a (?:known|valid) {_USER}",
            rf"no {_USER}s? (?:by that name|here|with|of|found)",
            r"inactive e-?mail address",
            r"recipient(?:name|notfound| name is not recogni[sz]ed| not found)",
            r"mailbox unavailable \(",
            r"requested action not taken: mailbox unavailable",
            r"recipient address rejected: access denied",
            r"doesn't have (?:a|an) .{0,60} account",
            r"does not have an account",
            r"unknown to (?:this|our) (?:server|system)",
            r"address(?:ee)? (?:is )?(?:unknown|not found)",
            r"delivery to this address is restricted: unknown",
            r"adresse (?:d.{0,4}au moins un )?destinataire invalide",
            r"destinataire inconnu",
            r"empf[aä]nger unbekannt",
            r"usuario desconocido",
            r"destinatario (?:desconocido|sconosciuto)",
            r"not in (?:our )?(?:address )?directory",
            r"user .{1,60} (?:is )?not (?:found|exist)",
            r"rejecting for unknown",
            r"^542 \S+@\S+ rejected",
        ),
    ),
    (
        "sender",
        (
            r"sender (?:address )?(?:rejected|denied|verif|refused|not|invalid|unknown|domain)",
            r"mail ?from .{0,40}(?:reject|refus|not allowed|den)",
            r"(?:your|sender'?s?|my) (?:name|domain|address) .{0,20}(?:was |is )?rejected",
            r"sender was rejected",
            r"invalid sender",
            r"unknown sender",
            r"invalid domain name",
        ),
    ),
)
"""Words that are used for one thing alone."""
_LOOSE: Final[_Words] = (
    (
        "virus",
        (
            r"\bvirus",
            r"malware",
            r"infected",
            r"trojan",
            r"phishing",
        ),
    ),
    (
        "spam",
        (
            r"\bspam",
            r"unsolicited",
            r"\bube\b",
            r"\buce\b",
            r"bulk mail",
            r"junk",
            r"looks like",
            r"content (?:was )?(?:rejected|blocked)",
            r"reject(?:ed)? .{0,40}content",
        ),
    ),
    (
        "too_large",
        (
            r"(?:message|mail|attachment|size|length|header|line)[^.;]{0,40}(?:too (?:big|large|"
            r"long)|exceed|limit)",
            r"exceeds? .{0,40}(?:size|limit|length)",
            r"maximum (?:message )?size",
            r"size limit",
        ),
    ),
    (
        "too_much",
        (
            r"too (?:many|much)",
            r"rate ?limit",
            r"throttl",
            r"slow down",
            r"try (?:again )?later",
            r"greylist",
            r"grey-?list",
            r"excessive",
            r"(?:deferred|delayed) due to",
            r"unexpected volume",
            r"try again",
        ),
    ),
    (
        "policy",
        (
            r"polic(?:y|ies)",
            r"security",
            r"prohibited",
            r"not (?:allowed|permitted|authori[sz]ed|accepted)",
            r"access denied",
            r"permission",
            r"restricted",
            r"rejected by",
            r"administrat",
            r"refused",
            r"blocked",
            r"denied",
            r"message rejected",
            r"violat",
        ),
    ),
    (
        "content",
        (
            r"media error",
            r"mime",
            r"malformed",
            r"format",
            r"headers?\b",
            r"8bit",
            r"charset",
            r"conversion",
            r"encod",
        ),
    ),
    (
        "expired",
        (
            r"(?:been )?in (?:the )?queue too long",
            r"giving up",
            r"given up",
            r"expired",
            r"timed? ?out",
            r"timeout",
            r"retry time",
            r"could not be delivered (?:for|within)",
            r"not delivered within",
            r"multiple retries",
            r"undeliverable for",
            r"maximum (?:hop|retry|time)",
            r"warning (?:message )?only",
            r"will be retried",
            r"hours old",
        ),
    ),
    (
        "not_reached",
        (
            r"connection (?:refused|reset|closed|lost|failed|dropped)",
            r"connect to",
            r"no route",
            r"unreachable",
            r"network",
            r"lookup fail",
            r"name (?:service|server)",
            r"establish an smtp connection",
            r"not responding",
            r"did not accept our",
            r"hop count",
            r"loop",
            r"too many hops",
        ),
    ),
    (
        "system",
        (
            r"system (?:error|failure|problem)",
            r"internal",
            r"temporar(?:y|ily)",
            r"local (?:error|problem)",
            r"service",
            r"unavailable",
            r"i/o error",
            r"config",
            r"resource",
            r"ldap",
            r"mailer error",
            r"can't create",
            r"couldn't create",
            r"read-only",
            r"disk",
        ),
    ),
)
"""Words that are used for much: heeded where no status says it better."""

# RFC 3463, 3.2 to 3.8, and the codes registered since (RFC 7505: X.1.10, RFC 7372: X.7.20 and on)
_STATUS: Final = {
    "1.1": NO_SUCH_USER, "1.2": "no_such_domain", "1.3": NO_SUCH_USER, "1.4": NO_SUCH_USER, "1.6": "has_moved",
    "1.7": "sender", "1.8": "sender", "1.9": "content", "1.10": "takes_no_mail",
    "2.0": "filtered", "2.1": "disabled", "2.2": "mailbox_full", "2.3": "too_large", "2.4": "system",
    "3.0": "system", "3.1": "system", "3.2": "system", "3.3": "system", "3.4": "too_large", "3.5": "system",
    "4.0": "not_reached", "4.1": "not_reached", "4.2": "not_reached", "4.3": "system", "4.4": "no_such_domain",
    "4.5": "too_much", "4.6": "not_reached", "4.7": "expired",
    "5.3": "too_much", "6.0": "content", "6.1": "content", "6.2": "content", "6.3": "content", "6.4": "content",
    "6.5": "content", "7.0": "policy", "7.1": "policy", "7.2": "policy", "7.13": "disabled",
    **dict.fromkeys(("7.20", "7.21", "7.22", "7.23", "7.24", "7.26", "7.30"), "authentication"), "7.25": "reputation",
}  # fmt: skip
_VAGUE: Final = frozenset({"0.0", "1.0", "3.0", "5.0", "6.0", "7.0", "7.1", "2.0", "4.0"})
"""Statuses that say less than almost any word."""
_SURE: Final = frozenset({"1.1", "1.2", "1.6", "1.10"})
"""Statuses that mean one thing whatever words go with them, but those of a mailbox that is there."""
_THERE: Final = frozenset({"filtered", "disabled", "mailbox_full", "relaying", "authentication", "reputation"})
_NO_ACCOUNT: Final = re.compile(r"does(?: not|n't) have an? .{0,60}account", re.IGNORECASE)
"""Said to the content too by providers that look accounts up only then."""
_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_QUOTED: Final = re.compile(r"\d\.\d\.\d - [^']{1,60} \d{3}-?'(.+?)'", re.DOTALL)
"""A gateway's own words around those of the server, which count: `5.1.0 - Unknown address error 550-'…'`."""
_REPLY: Final = re.compile(r"(?<![\d.#-])([45]\d\d)(?=[ \-:;,]|$)")


def status_in(text: str) -> str:
    """The first enhanced status code of class 4 or 5 in a text, "" without one."""
    return next((found[0] for found in _ENHANCED.finditer(text) if found[1] != "2"), "")


def reply_in(text: str) -> str:
    """The first reply code of SMTP of class 4 or 5 in a text, "" without one."""
    found = _REPLY.search(text)
    return found[1] if found else ""


def verdict_of(
    text: str, *, status: str = "", local: bool = False, after_data: bool = False, given_up: bool = False
) -> Verdict:
    """What a refusal means. text: the server's words, with its codes; status: as the report itself says it;
    local: a program of the reporting machine failed, no server refused (`Diagnostic-Code: x-unix`); after_data: it was
    said to the content: whoever took the recipient before knows them, and a filter speaks (RFC 5321, 3.3);
    given_up: it was said again and again until the sender gave up.
    """
    quoted = _QUOTED.search(text)
    text = quoted[1] if quoted else text
    code = status_in(text) or status  # the server's own is nearer than what the reporter made of it
    telling = _word_of(text, _TELLING)
    if local:
        return Verdict(SOFT, "mailbox_full" if telling == "mailbox_full" else "system")
    detail = code[2:]
    if detail in _SURE and telling not in _THERE:
        reason = _STATUS[detail]
    elif telling or detail in _VAGUE:
        reason = telling or _word_of(text, _LOOSE) or _STATUS.get(detail, "")
    else:
        reason = _STATUS.get(detail, "") or _word_of(text, _LOOSE)
    reason = reason or UNDETERMINED
    if reason == NO_SUCH_USER and after_data and not _NO_ACCOUNT.search(text):
        reason = "filtered"
    bounce = _CLASS[reason]
    temporary = (code or reply_in(text))[:1] == "4"
    if temporary and bounce == HARD and not (given_up and reason == NO_SUCH_USER):
        bounce = SOFT
    return Verdict(bounce, reason)


def tells(text: str) -> bool:
    """Whether a text has words or codes that say something for sure."""
    return bool(_word_of(text, _TELLING) or status_in(text))


def _word_of(text: str, among: _Words) -> str:
    return next((reason for reason, words in among if _pattern(words).search(text)), "")


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Compiled at the first refusal: together they take a twentieth of a process's start."""
    return re.compile("|".join(words), re.IGNORECASE)
