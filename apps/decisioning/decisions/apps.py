from django.apps import AppConfig


class DecisionsConfig(AppConfig):
    name = "apps.decisioning.decisions"

    def ready(self) -> None:
        from apps.data.consent.preferences import preferences_listen
        from apps.data.profiles.vault import sealed_column

        from . import receivers  # noqa: F401  # connects them; models are loaded only now
        from .digests import frequency_heed
        from .privacy import privacy_register
        from .sealing import ANSWERS, COLUMN, TABLE

        sealed_column(TABLE, COLUMN)
        sealed_column(ANSWERS, COLUMN)
        preferences_listen(frequency_heed)
        privacy_register()
