"""What a child process can be asked to do, and the types that go over to it. All of it is pure: no Django.

A function for `children.apart` stands here, and the dataclasses of its arguments and results.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .case_runs import BranchCover, CaseResult, Failure, Report, SlotShown, Suite, TierCover, suite_run
from .cases import Arrangement, Case, Happened, SlotExpected, TextExpected, TierAsked
from .checking import SHELL, block_problems, block_type_problems, template_problems
from .clients import ClientNote
from .compiling import BlockSource, TemplateSource, message_compiled
from .contracts import CompiledSources, Problem, Rendered
from .fields import Field
from .limits import Limits
from .previews import PERSONAS, Persona, Preview, block_preview, sources_preview, template_preview
from .starting import cases_start
from .trials import TrialReport, message_try, trials_run
from .watching import Branch


def job_name(job: Callable[..., Any]) -> str:
    return f"{job.__module__.rpartition('.')[2]}.{job.__name__}"


JOBS: Final[Mapping[str, Callable[..., Any]]] = {
    job_name(job): job
    for job in (
        template_problems,
        block_problems,
        block_type_problems,
        block_preview,
        sources_preview,
        template_preview,
        message_compiled,
        message_try,
        trials_run,
        suite_run,
        cases_start,
    )
}
TYPES: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        BlockSource,
        ClientNote,
        CompiledSources,
        Field,
        Limits,
        Persona,
        Preview,
        Problem,
        Rendered,
        TemplateSource,
        TrialReport,
        Arrangement,
        Branch,
        BranchCover,
        Case,
        CaseResult,
        Failure,
        Happened,
        Report,
        SlotExpected,
        SlotShown,
        Suite,
        TextExpected,
        TierAsked,
        TierCover,
    )
}


def warm_up() -> None:
    """Go once through all that loads modules late: a good template, one with a fault for each reader, a preview."""
    template_problems(SHELL)
    for fault in ("{% if %}", "<p>", "{{ profile.a }}", "{% if profile.a > 1 %}x{% endif %}"):
        template_problems(TemplateSource("fault", fault, f"{SHELL.mjml}{fault}", fault))
    static = TierAsked("static", "static", "block")
    case = Case("warm up", texts={"html": TextExpected(("Good day",))}, slots={"block": SlotExpected("static")})
    plain = BlockSource("0", "block", (), {"en": {}}, "<mj-section><mj-column /></mj-section>", "Good day")
    cases_start(Suite(SHELL, None, Arrangement("", {"block": (static,)}), {"block": plain}, [case]))
    layout = "<mj-section><mj-column><mj-text>[[ words ]]</mj-text></mj-column></mj-section>"
    words = Field("words", "Words", "rich_text")
    block_type_problems([words], name="warm up", layout=layout, text_layout="[[ words ]]")
    content = {"en": {"words": "<p>Good day</p>"}}
    for persona in PERSONAS:
        block_preview(
            name="warm up",
            fields=[words],
            layout=layout,
            text_layout="[[ words ]]",
            content=content,
            language="en",
            persona=persona,
            brand=None,
        )
