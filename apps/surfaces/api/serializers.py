"""What all serializers share. They say what bodies look like and hold no logic: services do the work."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import transaction
from rest_framework import serializers

from .problems import Problem, problem_body, problem_of
from .views import ApiView, errors_of

T = TypeVar("T")


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt one would be lost without a word."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(str(name) for name in data if name not in self.fields)
            if unknown:
                said = f"There is no such field; there are {', '.join(self.fields)}"
                raise serializers.ValidationError({name: [_Said(said)] for name in unknown})
        return super().to_internal_value(data)


class _Said(serializers.ErrorDetail):
    def __new__(cls, text: str) -> "_Said":
        return super().__new__(cls, text, "field_unknown")


def read(kind: type[serializers.Serializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """What a body says, checked for its form. Raises rest_framework's ValidationError, which becomes a problem."""
    said = kind(data=data, partial=partial)
    said.is_valid(raise_exception=True)
    return dict(said.validated_data)


ROWS_MOST = 500
"""Rows of one bulk request."""


class RowResult(serializers.Serializer[Any]):
    """What came of one row. index: its place in the request, from 0."""

    index = serializers.IntegerField()
    status = serializers.IntegerField(help_text="as if the row had come alone: 201 made, 200 changed, else an error")
    id = serializers.CharField(required=False)
    problem = serializers.DictField(required=False, help_text="RFC 9457, where it was an error")


class BulkResult(serializers.Serializer[Any]):
    """What came of all rows, in their order."""

    results = RowResult(many=True)
    done = serializers.IntegerField(help_text="rows that were made or changed")
    failed = serializers.IntegerField(help_text="rows of which nothing was kept")


def rows_read(view: ApiView) -> Sequence[Any]:
    """The rows of a bulk request, `{"rows": […]}`, each of which its client's limit counts. Raises Problem."""
    data = view.request.data
    rows = data.get("rows") if isinstance(data, Mapping) and set(data) == {"rows"} else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= ROWS_MOST:
        raise Problem(422, "rows_wrong", f'Send {{"rows": […]}} with 1 to {ROWS_MOST} rows')
    if view.counting is not None:
        view.counting.holds(len(rows))
    return rows


def rows_do(rows: Sequence[Any], deed: Callable[[Any], tuple[int, str]]) -> dict[str, Any]:
    """Do something with each row, each by itself: one that fails keeps nothing and stops no other.

    deed: returns the status and the id of what it made or changed.
    """
    results = []
    for index, row in enumerate(rows):
        try:
            with transaction.atomic():
                status, pk = deed(row)
        except serializers.ValidationError as error:
            detail = "The row is wrong: each error says where"
            problem = Problem(422, "content_wrong", detail, more={"errors": errors_of(error.detail)})
            results.append(_failed(index, problem))
        except Exception as error:
            problem = problem_of(error)
            if problem.status >= 500:  # not this row's fault: nothing is said of any
                raise
            results.append(_failed(index, problem))
        else:
            results.append({"index": index, "status": status, "id": pk})
    failed = sum("problem" in one for one in results)
    return {"results": results, "done": len(results) - failed, "failed": failed}


def _failed(index: int, problem: Problem) -> dict[str, Any]:
    return {"index": index, "status": problem.status, "problem": problem_body(problem)}
