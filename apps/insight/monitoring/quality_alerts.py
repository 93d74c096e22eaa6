"""Thresholds of data quality: who looks after the data is told when a measure falls below one, once for each fall."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotAllowed
from apps.foundation.core.outbox import outbox_put
from apps.foundation.governance.models import Notice
from apps.foundation.governance.notices import notices_add
from apps.foundation.governance.services import audit_record

from .models import Measure, QualityAlert, QualityFigure, QualityThreshold

MAY: Final = "monitoring.change_qualitythreshold"
_NAMED: Final = 10
"""Falls that one notice names; the page shows all."""


def threshold_set(*, attribute: str, source: str, measure: str, least: float, by: User) -> QualityThreshold:
    """Say below which share (0 to 1) a measure alerts. attribute, source: "" for all that have none of their own.

    Raises NotAllowed, Invalid.
    """
    _may(by)
    if measure not in Measure.values:
        raise Invalid("measure_unknown", f"There is no measure {measure!r}: there are {', '.join(Measure.values)}")
    if not 0 < least <= 1:
        raise Invalid("least_wrong", "Give a share above 0 and at most 100 %")
    if attribute and not QualityFigure.objects.filter(attribute=attribute).exists():
        raise Invalid("attribute_unknown", "Nothing of this name was measured yet: measure first")
    with transaction.atomic():
        made, _ = QualityThreshold.objects.update_or_create(
            attribute=attribute, source=source, measure=measure, defaults={"least": least, "set_by": by}
        )
        audit_record(
            action="monitoring.threshold.set",
            actor=by,
            subject=made,
            data={"attribute": attribute, "source": source, "measure": measure, "least": least},
        )
    return made


def threshold_remove(*, threshold_id: int, by: User) -> None:
    """Let a threshold alert no more. Raises NotAllowed. One that is gone is none."""
    _may(by)
    with transaction.atomic():
        found = QualityThreshold.objects.filter(pk=threshold_id).first()
        if found is not None:
            audit_record(action="monitoring.threshold.removed", actor=by, subject=found)
            found.delete()


def _may(by: User) -> None:
    if not by.has_perm(MAY):
        raise NotAllowed("not_allowed", "You may not set thresholds of data quality: ask an administrator")


def least_of(thresholds: Iterable[QualityThreshold]) -> Mapping[tuple[str, str, str], float]:
    """What is wanted, by attribute, source and measure, "" standing for all."""
    return {(one.attribute, one.source, one.measure): one.least for one in thresholds}


def least_wanted(
    wanted: Mapping[tuple[str, str, str], float], *, attribute: str, source: str, measure: str
) -> float | None:
    """The threshold that holds: of the attribute and source, else of the attribute, the source, or all."""
    for key in ((attribute, source), (attribute, ""), ("", source), ("", "")):
        if (found := wanted.get((*key, measure))) is not None:
            return found
    return None


def alerts_settle(figures: Sequence[tuple[QualityFigure, Mapping[str, float | None]]]) -> list[QualityAlert]:
    """Hold what was measured against the thresholds, in the transaction that measures. Returns what fell just now.

    A measure that stays below is no news; one that recovers, or that no threshold asks for any more, is over.
    """
    wanted = least_of(QualityThreshold.objects.all())
    open_ones = {(one.attribute, one.source, one.measure): one for one in QualityAlert.objects.filter(ended_at=None)}
    fell: list[QualityAlert] = []
    below: set[tuple[str, str, str]] = set()
    for figure, measures in figures:
        for measure, value in measures.items():
            key = (figure.attribute, figure.source, measure)
            least = least_wanted(wanted, attribute=figure.attribute, source=figure.source, measure=measure)
            if least is None or value is None or value >= least:
                continue
            below.add(key)
            if key in open_ones:
                open_ones[key].value, open_ones[key].least = value, least
                open_ones[key].save(update_fields=["value", "least"])
            else:
                fell.append(QualityAlert.objects.create(
                    attribute=key[0], source=key[1], measure=measure, value=value, least=least
                ))  # fmt: skip
    over = [one for key, one in open_ones.items() if key not in below]
    QualityAlert.objects.filter(pk__in=[one.pk for one in over]).update(ended_at=now())
    outbox_put("quality.fell", [_told(one) for one in fell])
    outbox_put("quality.recovered", [_told(one) for one in over])
    if fell:
        _notice(fell)
    return fell


def _told(alert: QualityAlert) -> dict[str, Any]:
    return {
        "alert": alert.pk,
        "attribute": alert.attribute,
        "source": alert.source,
        "measure": alert.measure,
        "value": round(alert.value, 4),
        "least": alert.least,
    }


def _notice(fell: Sequence[QualityAlert]) -> None:
    """One notice for all that fell in one go, to those who set thresholds."""
    app, right = MAY.split(".")
    holders = User.objects.filter(
        Q(groups__permissions__content_type__app_label=app, groups__permissions__codename=right), is_active=True
    )
    lines = [f"{one}: {one.value:.1%}, at least {one.least:.0%} wanted" for one in fell[:_NAMED]]
    if len(fell) > _NAMED:
        lines.append(f"and {len(fell) - _NAMED} more")
    title = f"{fell[0]} fell below its threshold" if len(fell) == 1 else f"{len(fell)} measures fell below thresholds"
    notices_add(
        users=set(holders.values_list("pk", flat=True)),
        kind=Notice.Kind.QUALITY,
        key=f"fell:{fell[0].pk}",
        place=reverse("console:quality"),
        title=title,
        body="\n".join(lines),
    )
