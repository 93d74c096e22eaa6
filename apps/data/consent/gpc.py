"""Global Privacy Control: a browser that sends `Sec-GPC: 1` opts the person out of being followed.

See https://w3c.github.io/gpc/ and, for its force in law, the CCPA (California Code of Regulations, title 11, § 7025).
"""

from typing import Final

from django.db import transaction

from .contracts import Circumstances, Origin
from .models import Channel, ConsentRecord, ConsentState, Purpose
from .services import consent_withdraw, gate_lock_person

SIGNAL: Final = "Sec-GPC"
"""The header; its value is `1`, or it is not there."""


def gpc_heed(*, profile_id: int, source: str, origin: Origin | None = None) -> list[str]:
    """Withdraw, on every channel, the purposes that the signal speaks against. Returns those that are off by it.

    Also where nothing is on record, so that no import agrees for them. What the person agreed to with the signal on,
    they knew: that stays.
    """
    with transaction.atomic():
        if _open(profile_id):
            profile_id = gate_lock_person(profile_id=profile_id)
            for purpose, channel in _open(profile_id):
                consent_withdraw(
                    profile_id=profile_id,
                    purpose=purpose,
                    channel=channel,
                    method=ConsentRecord.Method.GPC,
                    source=source,
                    circumstances=Circumstances(gpc=True),
                    origin=origin,
                )
    states = ConsentState.objects.filter(profile_id=profile_id, purpose__gpc_opts_out=True).select_related("record")
    heeded = {state.purpose_id for state in states if state.record.method == ConsentRecord.Method.GPC}
    return sorted(heeded - {state.purpose_id for state in states if state.granted})


def _open(profile_id: int) -> list[tuple[str, str]]:
    """What is neither withdrawn nor agreed to with the signal on."""
    settled = {
        (state.purpose_id, state.channel)
        for state in ConsentState.objects.filter(profile_id=profile_id).select_related("record")
        if not state.granted or state.record.gpc
    }
    codes = Purpose.objects.filter(gpc_opts_out=True, needs_consent=True).values_list("code", flat=True)
    return [(code, channel) for code in codes for channel in Channel.values if (code, channel) not in settled]
