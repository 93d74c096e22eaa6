from django.apps import AppConfig

from .vault import sealed_column


class ProfilesConfig(AppConfig):
    name = "apps.data.profiles"
    verbose_name = "Profiles"

    def ready(self) -> None:
        """Say where values of people are sealed here."""
        sealed_column("profiles_identifier", "sealed", row="kind || ':' || encode(digest, 'hex')")
        sealed_column("profiles_sealedattribute", "sealed", row="definition_id::text")
