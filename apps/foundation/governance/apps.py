from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "apps.foundation.governance"

    def ready(self) -> None:
        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .governing import governing_register

        governing_register()
