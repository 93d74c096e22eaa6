"""What apps above do with events as they are recorded. They add to these lists in their `ready()`.

Every event passes here once, in a micro-batch with others or alone, in no order that could be relied on.
"""

from collections.abc import Callable, Sequence

from .contracts import RecordedEvent

BatchStep = Callable[[Sequence[RecordedEvent]], None]

batch_steps: list[BatchStep] = []
"""Called in the transaction that writes the events: what they write is there exactly once, like the events. An error
undoes the whole batch, which is tried again, then event by event: raise only for what must not be without the event."""

after_commit: list[BatchStep] = []
"""Called after that transaction. May be lost with its process, so whoever adds one has a sweep that finds what was
missed; an error is logged, and hinders nobody else."""

join_steps: list[BatchStep] = []
"""Called in the transaction in which events that were recorded without a person get theirs: somebody was identified on
the device that they came from. The events have their own `recorded_at`, of before, and the person of now."""
