"""What can go wrong while a person's message is rendered."""

from apps.foundation.core.errors import DomainError


class RenderError(DomainError):
    """A message can't be rendered: something would be blank, or the template misbehaved. Never holds personal data."""
