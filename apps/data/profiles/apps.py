from django.apps import AppConfig

from apps.foundation.accounts.api_reach import Reach, reach_declare

from .vault import sealed_column


class ProfilesConfig(AppConfig):
    name = "apps.data.profiles"
    verbose_name = "Profiles"

    def ready(self) -> None:
        """Say where values of people are sealed here, and for what a client of the API may be trusted."""
        from .merge_people import merging_register
        from .models import Identifier  # models are loaded only now

        merging_register()

        reach_declare(
            Reach(
                "trusted_identifiers",
                "Trusted identifiers",
                lambda: list(Identifier.Kind.choices),
                "Kinds that it has seen to: they count as verified when it sends them. None chosen: none.",
            )
        )
        sealed_column("profiles_identifier", "sealed", row="kind || ':' || encode(digest, 'hex')")
        sealed_column("profiles_sealedattribute", "sealed", row="definition_id::text")
