from django.apps import AppConfig


class ConsentConfig(AppConfig):
    name = "apps.data.consent"
    verbose_name = "Consent"

    def ready(self) -> None:
        from .governing import governing_register  # models are loaded only now

        governing_register()
