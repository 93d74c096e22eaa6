"""How an SMS and a notification look on a device, and how long they are."""

from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string

from apps.data.consent.links import unsubscribe_url
from apps.decisioning.content.previews import Preview
from apps.decisioning.content.short_messages import BODY_SHOWN, SMS, TITLE_SHOWN, push_picture, push_said
from apps.decisioning.content.trials import LINKS
from apps.foundation.core.gsm import Segments, segments_of

_NOBODY: Final = UUID(int=0)


def short_shown(channel: str, preview: Preview, sender: str) -> dict[str, Any]:
    """What the editor shows of an SMS or push: the device as HTML, the text as it goes out, and its length."""
    if not preview.text:
        return {"html": "", "text": "", "clients": [], "size": None}
    title, _, text = preview.text.partition("\n\n")
    text = text.strip()
    if channel == SMS:
        # with a link to leave as long as a real one, since that is what is paid for
        text = text.replace(LINKS["unsubscribe"], unsubscribe_url(profile_id=1, message_id=_NOBODY))
        html = render_to_string("content/device_sms.html", {"sender": sender, "text": text})
        return {"html": html, "text": text, "clients": [], "size": _sms_size(segments_of(text))}
    body, link = push_said(text, passed_over=tuple(LINKS.values()))
    picture = push_picture(preview.html)
    shown = {"sender": sender, "title": title, "body": body, "link": link, "picture": picture}
    html = render_to_string("content/device_push.html", shown)
    said = "\n".join(part for part in (title, body, link, picture) if part)
    return {"html": html, "text": said, "clients": [], "size": _push_size(title, body)}


def _sms_size(found: Segments) -> dict[str, Any]:
    most: int = settings.SMS_SEGMENTS
    segments = "1 segment" if found.count == 1 else f"{found.count} segments"
    told = f"{segments}: {found.places} of {found.room} characters, {found.encoding}."
    if found.beyond:
        shown = " ".join(found.beyond[:8])
        told += f" Not in the alphabet of SMS, which makes segments of 70 instead of 160: {shown}"
    over = found.count > most
    if over:
        told += f" At most {most} segments go out: shorten it."
    return {"share": min(100, round(100 * found.places / found.room)), "over": over, "text": told}


def _push_size(title: str, body: str) -> dict[str, Any]:
    told = f"Title {len(title)} of about {TITLE_SHOWN}, text {len(body)} of about {BODY_SHOWN} characters shown."
    cut = [name for name, over in (("title", len(title) > TITLE_SHOWN), ("text", len(body) > BODY_SHOWN)) if over]
    if cut:
        told += f" Some lock screens cut the {' and the '.join(cut)}."
    return {"share": min(100, round(100 * len(body) / BODY_SHOWN)), "over": bool(cut), "text": told}
