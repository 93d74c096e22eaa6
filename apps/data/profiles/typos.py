"""Domains of addresses that were mistyped, and what was meant. Pure; nothing is ever corrected without being asked.

A domain is held against those that most people have their mail at. How far apart two are is counted in slips of a hand:
letters swapped, a key beside the right one, a letter twice or not at all (optimal string alignment, weighted). A name
of another provider is never taken for a slip, however near it is: mail.com is not gmail.com.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

_LARGE = """
gmail.com hotmail.com yahoo.com outlook.com icloud.com live.com aol.com msn.com googlemail.com protonmail.com
hotmail.co.uk hotmail.fr hotmail.de hotmail.it hotmail.es yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.com.br
yahoo.co.in yahoo.co.jp outlook.de outlook.fr outlook.es web.de gmx.de gmx.net gmx.at gmx.ch t-online.de freenet.de
orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it btinternet.com comcast.net verizon.net
sbcglobal.net bellsouth.net bluewin.ch chello.at telefonica.net
"""
_NEAR = """
mail.com email.com ymail.com gmx.com gmx.us gmx.fr gmx.es gmx.it gmx.li gmx.eu gmx.info rocketmail.com me.com mac.com
fastmail.com fastmail.fm hey.com zoho.com proton.me pm.me tutanota.com tuta.com hushmail.com inbox.com hotmail.at
hotmail.be hotmail.ca hotmail.ch hotmail.cl hotmail.co.jp hotmail.co.th hotmail.com.ar hotmail.com.au hotmail.com.br
hotmail.com.mx hotmail.com.tr hotmail.cz hotmail.dk hotmail.fi hotmail.gr hotmail.hu hotmail.nl hotmail.no hotmail.se
live.at live.be live.ca live.ch live.cl live.cn live.co.uk live.com.ar live.com.au live.com.mx live.de live.dk live.fr
live.ie live.it live.nl live.no live.se outlook.at outlook.be outlook.com.ar outlook.com.au outlook.com.br
outlook.com.tr outlook.cz outlook.dk outlook.ie outlook.it outlook.jp outlook.pt outlook.sa windowslive.com yahoo.at
yahoo.be yahoo.ca yahoo.ch yahoo.cl yahoo.co.id yahoo.co.kr yahoo.co.nz yahoo.co.za yahoo.com.ar yahoo.com.au
yahoo.com.cn yahoo.com.hk yahoo.com.mx yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw yahoo.com.vn yahoo.cz
yahoo.dk yahoo.gr yahoo.hu yahoo.ie yahoo.in yahoo.nl yahoo.no yahoo.pl yahoo.pt yahoo.ro yahoo.se myyahoo.com aim.com
aol.de aol.fr aol.it aol.es aol.co.uk aon.at a1.net kabsi.at utanet.at liwest.at inode.at bluemail.ch hispeed.ch
sunrise.ch email.de mail.de posteo.de posteo.net mailbox.org arcor.de online.de vodafone.de netcologne.de alice.de
alice.it kabelmail.de ewe.net ewetel.net versanet.de o2online.de neuf.fr bbox.fr numericable.fr club-internet.fr
aliceadsl.fr cegetel.net noos.fr voila.fr tiscali.it tiscali.co.uk tin.it tim.it inwind.it iol.it iol.pt sapo.pt
mail.pt fastwebnet.it email.it movistar.es telefonica.es terra.es terra.com.br bol.com.br uol.com.br ig.com.br
globo.com globomail.com btopenworld.com talktalk.net sky.com virginmedia.com ntlworld.com blueyonder.co.uk plus.net
planet.nl ziggo.nl kpnmail.nl kpnplanet.nl home.nl xs4all.nl hetnet.nl casema.nl upcmail.nl telenet.be skynet.be
proximus.be scarlet.be belgacom.net telia.com spray.se bredband.net tele2.se comhem.se online.no broadpark.no mail.dk
get2net.dk stofanet.dk elisanet.fi kolumbus.fi luukku.com suomi24.fi wp.pl o2.pl onet.pl op.pl interia.pl gazeta.pl
tlen.pl vp.pl poczta.fm seznam.cz email.cz centrum.cz centrum.sk azet.sk zoznam.sk post.cz volny.cz freemail.hu
citromail.hu indamail.hu t-online.hu abv.bg mail.bg dir.bg mail.ee online.ee inbox.lv mail.ru bk.ru list.ru inbox.ru
rambler.ru yandex.ru yandex.com ya.ru ukr.net i.ua meta.ua qq.com 163.com 126.com 139.com sina.com sohu.com
foxmail.com naver.com daum.net hanmail.net docomo.ne.jp ezweb.ne.jp softbank.ne.jp nifty.com rediffmail.com att.net
cox.net charter.net earthlink.net juno.com optonline.net roadrunner.com rr.com frontier.com windstream.net
centurylink.net shaw.ca rogers.com bell.net sympatico.ca telus.net videotron.ca bigpond.com bigpond.net.au
optusnet.com.au xtra.co.nz ozemail.com.au iinet.net.au tpg.com.au duck.com mozmail.com simplelogin.com usa.com
post.com consultant.com engineer.com
"""
_DEAD = "con cmo comm cim vom xom coom cpm clm ocm comn conm ckm c0m dom fom com.com cm om co col cop come"

_TOP: Final = tuple(_LARGE.split())
"""By weight, the most used first; of two equally near ones the first is meant."""

_OTHERS: Final = frozenset(_NEAR.split())
"""Other domains that are providers of their own, however near they are to one above."""

_ROWS: Final = (("qwertyuiop", "asdfghjkl", "zxcvbnm"), ("qwertzuiop", "asdfghjkl", "yxcvbnm"))
_SLIP: Final = 0.5
"""Swapped letters, a letter twice or once, the key beside the right one."""
_OTHER: Final = 1.0
CLEAR: Final = 1.0
"""A domain so near to one of the large ones is a slip, whether or not somebody takes mail there."""
LIKELY: Final = 2.0
"""A domain that takes no mail, so near to a large one, was meant to be that one."""
_MOST: Final = 40
_DEAD_ENDS: Final = frozenset(_DEAD.split())
"""What becomes of `.com` by a slip. The few that are top-level domains (co, cm, om) are so often meant to be com that
the domains of large names below them live on it."""


def _beside() -> frozenset[tuple[str, str]]:
    """Letters whose keys touch, on English and German keyboards: in a row, and the row below."""
    pairs: set[tuple[str, str]] = set()
    for rows in _ROWS:
        for row in rows:
            pairs |= set(pairwise(row))
        for upper, lower in pairwise(rows):
            pairs |= set(zip(upper, lower, strict=False)) | set(zip(upper[1:], lower, strict=False))
    pairs |= {("o", "0"), ("l", "1"), ("i", "1"), (".", ","), ("m", "n")}
    return frozenset(pairs | {(other, one) for one, other in pairs})


_BESIDE: Final = _beside()


def slips(typed: str, meant: str) -> float:
    """How many slips of a hand make `typed` of `meant`: 0.5 for a likely one, 1 for another letter, more or less."""
    before: list[float] = []
    last = [0.0]
    for column, letter in enumerate(meant):
        last.append(last[-1] + _spare(meant, column, letter))
    for row, key in enumerate(typed):
        line = [last[0] + _spare(typed, row, key)]
        for column, letter in enumerate(meant):
            swap = 0.0 if key == letter else _SLIP if (key, letter) in _BESIDE else _OTHER
            cost = min(
                last[column] + swap,
                last[column + 1] + _spare(typed, row, key),
                line[column] + _spare(meant, column, letter),
            )
            if row and column and key == meant[column - 1] and typed[row - 1] == letter and key != letter:
                cost = min(cost, before[column - 1] + _SLIP)
            line.append(cost)
        before, last = last, line
    return last[-1]


def _spare(text: str, place: int, letter: str) -> float:
    """What a letter costs that the other text lacks: little if it is there twice."""
    doubled = (place and text[place - 1] == letter) or text[place + 1 : place + 2] == letter
    return _SLIP if doubled else _OTHER


@lru_cache(maxsize=4096)
def domain_meant(domain: str, *, takes_mail: bool) -> str:
    """The large provider's domain that was meant by `domain` (small letters), `""` if it may well be right as it is.

    takes_mail: whether mail is taken there, or may be: then only a clear slip in a long enough name is one.
    """
    if domain in _OTHERS or domain in _TOP or len(domain) > _MOST:
        return ""
    name, dot, rest = domain.partition(".")
    for known in _TOP:
        known_name, _, known_rest = known.partition(".")
        if dot and name == known_name and known_rest == "com" and rest in _DEAD_ENDS:
            return known
        if not dot and domain in (known.replace(".", "", 1), known_name):
            return known
    near = sorted((distance, place) for place, known in enumerate(_TOP) if (distance := _distance(domain, known)) < 9)
    if not near:
        return ""
    distance, place = near[0]
    meant = _TOP[place]
    if takes_mail and (distance > CLEAR or not _surely(domain, meant)):
        return ""
    return meant if distance <= min(LIKELY, len(meant) / 5) else ""


def _distance(domain: str, known: str) -> float:
    if abs(len(domain) - len(known)) > LIKELY:
        return 9.0
    return slips(domain, known)


def _surely(domain: str, meant: str) -> bool:
    """Whether a slip is surely one though somebody takes mail there: in a name of some length, ending as it should.

    A name with its own ending (hotmail.ru) is somebody's; a short one (aol, gmx, web) has too many neighbours.
    """
    name, _, rest = domain.partition(".")
    meant_name, _, meant_rest = meant.partition(".")
    return rest == meant_rest and name != meant_name and len(meant_name) >= 5 and name[:1] == meant_name[:1]
