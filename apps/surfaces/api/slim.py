"""Endpoints without DRF, for what comes thousands of times a second: the same key, scope, limit and problems."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from apps.foundation.accounts.acting import acting
from apps.foundation.accounts.contracts import Caller

from .access import Counting, caller_require, scope_require
from .problems import Problem, fault_log, problem_answer, problem_of

SlimView = Callable[Concatenate[HttpRequest, Caller, Counting, ...], HttpResponse]


def slim(
    *, scope: str, method: str = "POST", write_key: Callable[[HttpRequest], str] | None = None
) -> Callable[[SlimView], Callable[..., HttpResponseBase]]:
    """Make a view of `(request, caller, counting, …)`: one method, of clients with a scope. Errors become problems.

    A view of what may hold several tells `counting` how many, before it keeps any.
    write_key: see `access.caller_require`. Describe it for the documentation by `schema.operation_declare`.
    """

    def decorate(view: SlimView) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if request.method != method:
                    detail = f"This address takes {method} alone"
                    raise Problem(405, "method_not_allowed", detail, headers={"Allow": method})
                caller = caller_require(request, write_key)
                scope_require(caller, scope)
                counting = Counting(caller, scope)
                with acting(caller):
                    answer = view(request, caller, counting, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  # each becomes a problem; our own faults are logged
                problem = problem_of(error)
                fault_log(request, error, problem)
                return problem_answer(problem)
            for name, value in counting.headers().items():
                answer[name] = value
            return answer

        answered.scopes = {method.lower(): scope}  # type: ignore[attr-defined]  # for the matrix of permissions
        return answered

    return decorate
