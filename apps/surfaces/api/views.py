"""What every view of the API is built on, and the pages that tell of the API."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, Final, cast

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.foundation.accounts.acting import acting, acting_begin
from apps.foundation.accounts.contracts import Caller
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.errors import Conflict

from .access import Counting, caller_require, scope_require
from .bodies import JsonParser, JsonRenderer, MergePatchParser
from .etags import changed_meanwhile
from .idempotency import answer_once, idempotency_key
from .problems import CONTENT_TYPE, Problem, fault_log, pointer, problem_answer, problem_body, problem_of

ANY_CLIENT: Final = "any"
"""In place of a scope: whoever has a key that is good."""


class BearerAuthentication(BaseAuthentication):
    """The key of a client in `Authorization`."""

    def authenticate(self, request: Request) -> tuple[Any, None]:
        return caller_require(request._request), None


class _Negotiation(BaseContentNegotiation):
    """There is JSON, and nothing to negotiate; whoever takes none gets it all the same (RFC 9110, 12.5.1)."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        said = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == said), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view for clients of the API.

    scopes: the scope that each method asks for, by its name in small letters; a method without one does not exist.
    sees: kinds of objects that its owner must have the right to see, for any method.
    makes: whether its POST makes something, so that `Idempotency-Key` counts.
    """

    scopes: ClassVar[Mapping[str, str]] = {}
    sees: ClassVar[tuple[type[Model], ...]] = ()
    makes: ClassVar[bool] = False

    authentication_classes = [BearerAuthentication]
    permission_classes = []
    parser_classes = [JsonParser]
    renderer_classes = [JsonRenderer]
    content_negotiation_class = _Negotiation
    counting: Counting | None = None

    @cached_property
    def caller(self) -> Caller:
        """The client that asks."""
        return cast(Caller, self.request.user)

    @cached_property
    def owner(self) -> User:
        """The member of staff for whom the client acts."""
        return User.objects.get(pk=self.caller.owner_id)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with acting():
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # authenticates
        if "\0" in request._request.path or any("\0" in value for value in request.query_params.values()):
            raise Problem(400, "nul_in_address", "The address has the character U+0000: leave it out")
        method = (request.method or "").lower()
        scope = self.scopes.get("get" if method == "head" else method)
        if scope is None:
            raise exceptions.MethodNotAllowed(request.method or "")
        acting_begin(self.caller)
        if scope != ANY_CLIENT:
            scope_require(self.caller, scope)
        self.counting = Counting(self.caller, scope)
        for model in self.sees:
            right_require(self.owner, "view", model, what=f"see {model._meta.verbose_name_plural}")
        if method == "post" and self.makes and (key := idempotency_key(request)):
            handler: Callable[..., Response] = getattr(self, method)

            def once(request: Request, *args: Any, **kwargs: Any) -> Response:
                return answer_once(request, self.caller, key, partial(handler, request, *args, **kwargs))

            setattr(self, method, once)  # dispatch takes it from here

    @property
    def allowed_methods(self) -> list[str]:
        return [method.upper() for method in self.scopes]

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in (self.counting.headers() if self.counting is not None else {}).items():
            response.setdefault(name, value)
        response["Cache-Control"] = "no-store"
        return response

    def handle_exception(self, error: Exception) -> Response:
        problem = _problem(error)
        if isinstance(error, Conflict) and error.code == "changed_meanwhile" and "If-Match" in self.request.headers:
            problem = changed_meanwhile()
        fault_log(self.request._request, error, problem)
        headers = problem.headers
        return Response(problem_body(problem), status=problem.status, headers=headers, content_type=CONTENT_TYPE)


class PatchView(ApiView):
    """A view whose PATCH takes JSON, or JSON Merge Patch by that name."""

    parser_classes = [JsonParser, MergePatchParser]


def _problem(error: Exception) -> Problem:
    """DRF's errors as ours; the others as everywhere."""
    if isinstance(error, exceptions.ValidationError):
        detail = "Some of what was sent is wrong: each error says where, and what is"
        return Problem(422, "content_wrong", detail, more={"errors": errors_of(error.detail)})
    if isinstance(error, exceptions.MethodNotAllowed):
        return Problem(405, "method_not_allowed", "This address doesn't take that method: see Allow")
    if isinstance(error, exceptions.UnsupportedMediaType):
        return Problem(415, "media_type_wrong", "This address doesn't take a body of that kind: see the documentation")
    if isinstance(error, exceptions.APIException) and error.status_code < 500:
        return Problem(error.status_code, "bad_request", "The request can't be read")
    return problem_of(error)


def errors_of(detail: Any, *path: str | int) -> list[dict[str, Any]]:
    """Errors of a serializer, each with its place in the body."""
    if isinstance(detail, Mapping):
        return [one for name, inner in detail.items() for one in errors_of(inner, *_place(path, name))]
    if isinstance(detail, list):
        found = []
        for number, inner in enumerate(detail):
            deeper = isinstance(inner, dict | list)
            found += errors_of(inner, *path, number) if deeper else errors_of(inner, *path)
        return found
    return [{"pointer": pointer(*path), "code": getattr(detail, "code", "invalid"), "detail": str(detail)}]


def _place(path: tuple[str | int, ...], name: Any) -> tuple[str | int, ...]:
    return path if name == "non_field_errors" else (*path, name)


def nothing_here(request: HttpRequest) -> HttpResponse:
    """Any address below the API's that there is not."""
    detail = "There is nothing at this address: see /api/v1/docs for those that there are"
    return problem_answer(Problem(404, "address_unknown", detail))


nothing_here.csrf_exempt = True  # type: ignore[attr-defined]  # it changes nothing
