"""What imports look like in the API."""

from rest_framework import serializers

from apps.data.imports.models import Import as ImportModel
from apps.data.imports.presets import PRESETS
from apps.data.imports.selectors import percent_done
from apps.data.imports.services import errors_path
from apps.surfaces.api.serializers import Strict


class ImportNew(Strict):
    """A file and what it is."""

    file = serializers.FileField(help_text="CSV, plain or compressed as .gz; its first line names the columns")
    kind = serializers.ChoiceField(ImportModel.Kind.choices)
    preset = serializers.ChoiceField(sorted(PRESETS), required=False, help_text="a mapping that is there; or mapping")
    mapping = serializers.CharField(
        max_length=100_000, required=False, help_text="JSON: which column is what, as docs/how-it-works/imports.md says"
    )
    purpose = serializers.CharField(
        max_length=32, required=False, help_text="for which everybody in the file agreed, as the client's owner vouches"
    )
    evidence = serializers.CharField(
        max_length=2_000, required=False, help_text="with purpose: where they agreed, when, and in which words"
    )


class Import(serializers.Serializer[object]):
    """One file that comes in."""

    id = serializers.IntegerField(source="pk")
    kind = serializers.CharField()
    file_name = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field called as one of the serializer's
    state = serializers.CharField(help_text="waiting, reading, merging, stopped, done, failed")
    percent = serializers.SerializerMethodField(help_text="of the file that was read; 100 once it is done")
    lines = serializers.IntegerField(source="lines_done")
    counts = serializers.DictField(help_text="what came of it: lines_read, lines_bad, values_bad, profiles, consents …")
    problem = serializers.CharField(help_text="why it failed, and what to do")
    has_errors = serializers.SerializerMethodField(help_text="whether there is a file of what was left out")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_percent(self, job: ImportModel) -> int:
        return percent_done(job)

    def get_has_errors(self, job: ImportModel) -> bool:
        return errors_path(job) is not None


class ImportPage(serializers.Serializer[object]):
    """A page of imports."""

    items = Import(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
