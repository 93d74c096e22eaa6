from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "apps.data.privacy"
    verbose_name = "Privacy"
