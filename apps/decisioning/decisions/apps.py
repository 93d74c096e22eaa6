from django.apps import AppConfig


class DecisionsConfig(AppConfig):
    name = "apps.decisioning.decisions"

    def ready(self) -> None:
        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .privacy import privacy_register

        privacy_register()
