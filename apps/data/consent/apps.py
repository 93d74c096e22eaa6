from django.apps import AppConfig


class ConsentConfig(AppConfig):
    name = "apps.data.consent"
    verbose_name = "Consent"

    def ready(self) -> None:
        from apps.data.profiles.vault import sealed_column

        from .following import following_register
        from .governing import governing_register  # models are loaded only now
        from .origins import TABLE

        governing_register()
        following_register()
        sealed_column(TABLE, "sealed", row="encode(digest, 'hex')")
