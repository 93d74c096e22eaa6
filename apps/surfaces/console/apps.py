from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "apps.surfaces.console"

    def ready(self) -> None:
        from apps.data.profiles.vault import sealed_column

        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .own_tests import COLUMN, TABLE
        from .privacy import privacy_register
        from .rights import rights_declare

        rights_declare()
        privacy_register()
        sealed_column(TABLE, COLUMN)
