from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "apps.surfaces.console"

    def ready(self) -> None:
        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .privacy import privacy_register
        from .rights import rights_declare

        rights_declare()
        privacy_register()
