"""What templates look like in the API."""

from rest_framework import serializers

from apps.decisioning.content import models
from apps.surfaces.api.approvals import ContentVersionLine, Review
from apps.surfaces.api.serializers import Strict


class TemplateFields(Strict):
    """What a template is called; its sources are in its versions."""

    name = serializers.CharField(max_length=120, required=False)


class TemplateVersionNew(Strict):
    """Sources of a template, as a draft; what is not given stays as it was."""

    subject = serializers.CharField(max_length=2_000, required=False, trim_whitespace=False)
    mjml = serializers.CharField(max_length=500_000, required=False, trim_whitespace=False)
    text = serializers.CharField(max_length=200_000, required=False, trim_whitespace=False)
    base = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="number of the version that was edited; else 409"
    )
    why = serializers.CharField(max_length=400, required=False, allow_blank=True)


class TemplateNew(Strict):
    """A template with its first sources."""

    code = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=120)
    channel = serializers.ChoiceField(
        models.Template.Channel.choices,
        required=False,
        help_text="that it is written for, for good; email where nothing is said",
    )
    subject = serializers.CharField(max_length=2_000, trim_whitespace=False, help_text="Jinja")
    mjml = serializers.CharField(max_length=500_000, trim_whitespace=False, help_text="MJML with slots and Jinja")
    text = serializers.CharField(max_length=200_000, trim_whitespace=False, help_text="the same as plain text")


class Template(serializers.Serializer[object]):
    """Layout and logic of messages."""

    id = serializers.IntegerField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField()
    channel = serializers.CharField()
    newest = serializers.IntegerField(allow_null=True, help_text="number of the newest version")
    live = serializers.IntegerField(allow_null=True, help_text="number of the version that is published; null: none")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class TemplatePage(serializers.Serializer[object]):
    """A page of templates."""

    items = Template(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class TemplateVersion(ContentVersionLine):
    """The sources of a template since this version, and who agreed to them."""

    subject = serializers.CharField()
    mjml = serializers.CharField()
    text = serializers.CharField()
    slots = serializers.ListField(child=serializers.CharField())
    review = Review(allow_null=True)
