from django.apps import AppConfig


class RecommendationsConfig(AppConfig):
    name = "apps.decisioning.recommendations"
