"""How good the data of people is, per source and attribute: measured set-wise, kept by day, shown with its trend.

Completeness: of how many something is known. Accuracy: of these, how many values are as their definition says (type,
allowed values; a code that exists). Consistency: how many are written as most are, so "de" beside "German" shows.
Uniqueness: different values per value, which matters where everybody should have their own. Freshness: whose profile
changed within the days that the definition gives. Sensitive attributes are counted, never opened.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from apps.data.profiles.attribute_values import value_read
from apps.data.profiles.attributes import shapes_read
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.normalize import country_code, language_tag, text_clean, time_zone_name
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.foundation.core.clock import now

from .models import Measure, QualityFigure, QualitySample
from .quality_alerts import alerts_settle
from .quality_samples import ALIVE, GONE, samples_of_address, samples_of_attribute, samples_of_column

COLUMNS: Final = ("first_name", "last_name", "country", "language", "time_zone")
ADDRESSES: Final = ("email", "phone")
_VALUES_MOST: Final = 20_000
"""Different values of an attribute that are looked at one by one, the most common; what is beyond counts as good."""
_TREND: Final = 30
_ALIVE: Final = ALIVE
_PEOPLE: Final = f"SELECT source, count(*) FROM profiles_profile AS p WHERE {_ALIVE} GROUP BY 1"  # noqa: S608
_FRESH: Final = "count(*) FILTER (WHERE p.updated_at >= %(since)s)"
_OF_COLUMN: Final = f"""
SELECT p.source, to_jsonb(p.{{column}})::text, count(*), {_FRESH} FROM profiles_profile AS p
WHERE {_ALIVE} AND p.{{column}} <> '' GROUP BY 1, 2 ORDER BY 3 DESC
"""  # noqa: S608  # names of our own
_OF_ATTRIBUTE: Final = f"""
SELECT p.source, (p.attributes -> %(name)s::text)::text, count(*), {_FRESH} FROM profiles_profile AS p
WHERE {_ALIVE} AND jsonb_exists(p.attributes, %(name)s) AND p.attributes ->> %(name)s::text <> ''
GROUP BY 1, 2 ORDER BY 3 DESC
"""  # noqa: S608  # names of our own
_OF_SEALED: Final = f"""
SELECT p.source, count(*), count(DISTINCT held.digest), {_FRESH} FROM profiles_sealedattribute AS held
JOIN profiles_profile AS p ON p.id = held.profile_id WHERE {_ALIVE} AND held.definition_id = %(definition)s GROUP BY 1
"""  # noqa: S608  # names of our own
_OF_ADDRESS: Final = f"""
SELECT p.source, count(*), count(*) FILTER (WHERE NOT {GONE}), count(DISTINCT held.digest)
FROM profiles_identifier AS held JOIN profiles_profile AS p ON p.id = held.profile_id
WHERE {_ALIVE} AND held.main AND held.kind = %(kind)s GROUP BY 1
"""  # noqa: S608  # names of our own
_READ: Final = {"country": country_code, "language": language_tag, "time_zone": time_zone_name}


@dataclass(slots=True)
class _Counts:
    present: int = 0
    fitting: int = 0
    alike: int = 0
    distinct: int = 0
    fresh: int | None = None


@dataclass(slots=True)
class _Odd:
    """Texts (JSON) of values that do not fit, or are not written as most are, by source: the most frequent first."""

    fitting: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    alike: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def by_measure(self) -> dict[str, dict[str, list[str]]]:
        return {Measure.FITTING: self.fitting, Measure.ALIKE: self.alike}


def quality_measure() -> int:
    """Measure everything, and keep it as today's. Returns how many figures. Safe to repeat: the last one counts."""
    at = now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PEOPLE)
        people: dict[str, int] = dict(cursor.fetchall())
        found: dict[str, dict[str, _Counts]] = {}
        samples: list[QualitySample] = []
        for column in COLUMNS:
            cursor.execute(_OF_COLUMN.format(column=column), {"since": at})
            found[column], odd = _values_count(cursor.fetchall(), None, column)
            samples += samples_of_column(cursor, column, odd.by_measure)
        for kind in ADDRESSES:
            cursor.execute(_OF_ADDRESS, {"kind": kind})
            found[kind] = {source: _Counts(n, good, n, distinct) for source, n, good, distinct in cursor.fetchall()}
            samples += samples_of_address(cursor, kind)
        for name, shape in sorted(shapes_read().items()):
            since = at - timedelta(days=shape.fresh_days or 0)
            odd = _Odd()
            if shape.sensitive:
                cursor.execute(_OF_SEALED, {"definition": shape.id, "since": since})
                found[name] = {
                    source: _Counts(n, n, n, distinct, fresh if shape.fresh_days else None)
                    for source, n, distinct, fresh in cursor.fetchall()
                }
            else:
                cursor.execute(_OF_ATTRIBUTE, {"name": name, "since": since})
                found[name], odd = _values_count(cursor.fetchall(), shape, name)
            samples += samples_of_attribute(cursor, shape, name, odd.by_measure, since)
        day = at.date()
        QualityFigure.objects.filter(day=day).delete()
        rows = [
            QualityFigure(
                day=day, source=source, attribute=name, people=number, measured_at=at, present=one.present,
                fitting=one.fitting, alike=one.alike, distinct=one.distinct, fresh=one.fresh,
            )
            for name, by_source in found.items()
            for source, number in people.items()
            for one in [by_source.get(source, _Counts())]
        ]  # fmt: skip
        QualityFigure.objects.bulk_create(rows, batch_size=1_000)
        QualitySample.objects.all().delete()
        QualitySample.objects.bulk_create(samples, batch_size=1_000)
        alerts_settle([(row, dict(zip(Measure.values, _measures(row), strict=True))) for row in rows])
    return len(rows)


def _values_count(
    rows: Sequence[tuple[str, str, int, int]], shape: AttributeShape | None, name: str
) -> tuple[dict[str, _Counts], _Odd]:
    found: defaultdict[str, _Counts] = defaultdict(_Counts)
    styles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    written: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    odd = _Odd()
    for place, (source, text, number, fresh) in enumerate(rows):
        counts, value = found[source], json.loads(text)
        if value is None or value == []:
            continue
        counts.present += number
        counts.distinct += 1
        if shape is not None and shape.fresh_days:
            counts.fresh = (counts.fresh or 0) + fresh
        if place >= _VALUES_MOST or _fits(value, shape, name):
            counts.fitting += number
        else:
            odd.fitting[source].append(text)
        style = _style(value)
        styles[source][style] += number
        written[source, style].append(text)
    for source, counted in styles.items():
        (_usual, found[source].alike), *others = counted.most_common()
        for style, _ in others:
            odd.alike[source] += written[source, style]
    return found, odd


def _fits(value: Any, shape: AttributeShape | None, name: str) -> bool:
    if shape is None:
        read = _READ.get(name, text_clean)
        return bool(read(str(value)) == value)
    try:
        return value_read(shape, value) is not None
    except ValueError:
        return False


def _style(value: Any) -> str:
    """How a value is written: its type, and of a short code whether in capitals."""
    if isinstance(value, str):
        return "code" if value.isupper() and len(value) <= 3 else "digits" if value.isdigit() else "text"
    return type(value).__name__


# --- shown ---


@dataclass(frozen=True, slots=True)
class Share:
    """One measure: of 0 to 1, None where it does not apply; low: below what is wanted."""

    value: float | None
    low: bool

    @property
    def words(self) -> str:
        return "–" if self.value is None else f"{int(self.value * 1000) / 10:g} %"


@dataclass(frozen=True, slots=True)
class Mend:
    """What to do where a measure is low. place: what to look at for it, by name, "" for nothing here."""

    measure: str
    words: str
    place: str


@dataclass(frozen=True, slots=True)
class Line:
    """An attribute of a source as the page shows it. score: the mean of what applies; trend: points of a plot of the
    last scores, 100 wide and 20 high; low: the measures that are; worst: those of which people are noted; mends: what
    to do for each that is low."""

    attribute: str
    source: str
    people: int
    score: Share
    measures: tuple[Share, Share, Share, Share, Share]
    trend: str
    worst: tuple[str, ...]
    mends: tuple[Mend, ...]


def quality_lines() -> list[Line]:
    """The newest figures, the worst first."""
    newest = QualityFigure.objects.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return []
    shapes = shapes_read()
    noted: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for attribute, source, measure in QualitySample.objects.order_by("pk").values_list(
        "attribute", "source", "measure"
    ):
        noted[attribute, source].append(measure)
    lately = QualityFigure.objects.filter(day__gt=newest - timedelta(days=_TREND)).order_by("day")
    history: defaultdict[tuple[str, str], list[tuple[date, float]]] = defaultdict(list)
    shown = []
    for row in lately:
        history[row.attribute, row.source].append((row.day, _score(row)))
    for row in QualityFigure.objects.filter(day=newest):
        least = settings.QUALITY_LEAST
        wanted = row.attribute in COLUMNS or row.attribute in ADDRESSES
        shape = shapes.get(row.attribute)
        required = shape.required if shape is not None else wanted
        measures = tuple(
            Share(
                value,
                value is not None
                and value < least
                and (required or place > 0)
                and (place != 3 or row.attribute in ADDRESSES),
            )
            for place, value in enumerate(_measures(row))
        )
        score = _score(row)
        low = [place for place, one in enumerate(measures) if one.low]
        shown.append(
            Line(
                row.attribute, row.source, row.people, Share(score, bool(low)),
                (measures[0], measures[1], measures[2], measures[3], measures[4]),
                _points([value for _, value in history[row.attribute, row.source]]),
                tuple(noted[row.attribute, row.source]),
                tuple(_mend(row.attribute, Measure.values[place]) for place in low),
            )
        )  # fmt: skip
    return sorted(shown, key=lambda line: (not line.score.low, line.score.value or 0, line.attribute, line.source))


def _mend(attribute: str, measure: str) -> Mend:
    """What to do about a measure of an attribute that is low."""
    address = attribute in ADDRESSES
    if measure == Measure.KNOWN:
        return Mend(measure, "Ask for it: on the sign-up form, in a survey, or bring it in from the source", "imports")
    if measure == Measure.FITTING and address:
        return Mend(measure, "They get nothing. Ask for a new address by another way", "suppressions")
    if measure == Measure.FITTING:
        if attribute in COLUMNS:
            return Mend(measure, "Mend it at the source, and bring it in again", "imports")
        return Mend(measure, "Mend it at the source, or widen its definition", "definition")
    if measure == Measure.ALIKE:
        return Mend(measure, "Have the source write it one way, or map its values in the import", "imports")
    if measure == Measure.DISTINCT:
        return Mend(measure, "Look whether they are one person", "merges")
    return Mend(measure, "Bring it anew: the source has not sent it for long", "inbound")


def _measures(row: QualityFigure) -> tuple[float | None, ...]:
    """Completeness, accuracy, consistency, uniqueness, freshness."""
    of = row.present
    return (
        row.present / row.people if row.people else None,
        row.fitting / of if of else None,
        row.alike / of if of else None,
        row.distinct / of if of else None,
        None if row.fresh is None or not of else row.fresh / of,
    )


def _score(row: QualityFigure) -> float:
    """The mean of what applies, without uniqueness: few attributes are to differ from person to person."""
    counted = [value for place, value in enumerate(_measures(row)) if value is not None and place != 3]
    return sum(counted) / len(counted) if counted else 0.0


def _points(values: Sequence[float]) -> str:
    step = 100 / max(1, len(values) - 1)
    return " ".join(f"{place * step:.1f},{20 - value * 20:.1f}" for place, value in enumerate(values))


# --- readiness ---


@dataclass(frozen=True, slots=True)
class Ready:
    """A playbook and what its message is made of. needs: attribute, and of how many people it is known (0 to 1)."""

    playbook: Playbook
    needs: tuple[tuple[str, Share], ...]

    @property
    def runs_on(self) -> bool:
        """Whether most people get it with all of what it can say; without, its fallbacks are read."""
        return not any(share.low for _, share in self.needs)


def readiness() -> list[Ready]:
    """What of the published playbooks can run on this data, as it was last measured."""
    newest = QualityFigure.objects.order_by("-day").values_list("day", flat=True).first()
    people: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for row in QualityFigure.objects.filter(day=newest) if newest is not None else ():
        people[row.attribute] += row.people
        present[row.attribute] += row.present
    found = []
    for playbook in Playbook.objects.exclude(published=None).select_related("published").order_by("name"):
        needs = tuple((name, _share(present[name], people[name])) for name in tokens_of(playbook.published))
        found.append(Ready(playbook, needs))
    return found


def _share(present: int, people: int) -> Share:
    value = present / people if people else 0.0
    return Share(value, value < settings.QUALITY_LEAST)


def tokens_of(version: PlaybookVersion | None) -> list[str]:
    """The attributes that the messages of a version print, in whatever step and language."""
    if version is None:
        return []
    by_language = [version.compiled, *version.compiled_steps.values()]
    ids = {compiled_id for compiled in by_language for compiled_id in compiled.values()}
    tokens = CompiledTemplate.objects.filter(pk__in=ids).values_list("tokens", flat=True)
    return sorted({str(name) for names in tokens for name in names})
