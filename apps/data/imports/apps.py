from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "apps.data.imports"
    verbose_name = "Imports"

    def ready(self) -> None:
        from .privacy import privacy_register  # models are loaded only now

        privacy_register()
