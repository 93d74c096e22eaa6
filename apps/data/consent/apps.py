from django.apps import AppConfig


class ConsentConfig(AppConfig):
    name = "apps.data.consent"
    verbose_name = "Consent"

    def ready(self) -> None:
        from apps.data.profiles.changes import changes_tell
        from apps.data.profiles.models import Change
        from apps.data.profiles.vault import sealed_column
        from apps.foundation.accounts.api_reach import Reach, reach_declare

        from .following import following_register
        from .governing import governing_register  # models are loaded only now
        from .merging import merging_register
        from .origins import TABLE
        from .preferences import preferences_tell
        from .selectors import purposes_offered

        governing_register()
        merging_register()
        reach_declare(
            Reach(
                "purposes",
                "Purposes",
                purposes_offered,
                "For which it may record grants. Withdrawals are always taken. None chosen: all.",
            )
        )
        changes_tell(Change.Kind.PREFERENCE, preferences_tell)
        following_register()
        sealed_column(TABLE, "sealed", row="encode(digest, 'hex')")
