"""What definitions of attributes and schemas of events look like in the API."""

from typing import Any

from rest_framework import serializers

from apps.data.events import models


class AttributeDefinition(serializers.Serializer[object]):
    """What an attribute of people is, and may be."""

    name = serializers.CharField(help_text="as profiles, rules and templates call it; it never changes")
    kind = serializers.CharField(help_text="text, number, bool, date, datetime, choice or texts")
    description = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField(), help_text="what customers read, by language")
    required = serializers.BooleanField(help_text="nobody can empty it")  # type: ignore[assignment]  # a field of that name
    sensitive = serializers.BooleanField(help_text="sealed; rules ask it by is, is_not, in and known alone")
    correctable = serializers.BooleanField(help_text="customers may correct it themselves")
    allowed = serializers.JSONField(help_text="values that are allowed, for choice and texts; empty: any")
    fallback = serializers.JSONField(allow_null=True, help_text="what reads well where nothing is known")
    fresh_days = serializers.IntegerField(allow_null=True, help_text="after so many days without news it is stale")
    updated_at = serializers.DateTimeField()


class AttributePage(serializers.Serializer[object]):
    """A page of definitions."""

    items = AttributeDefinition(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class EventSchema(serializers.Serializer[object]):
    """What is known of events of one name."""

    name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField(), help_text="other names that are read as this one")
    description = serializers.CharField()
    on_fault = serializers.CharField(help_text="what becomes of one that does not fit: keep or set_aside")
    purpose = serializers.CharField(
        source="purpose_id",
        allow_null=True,
        help_text="kept without its person where that one withdrew this; null: always",
    )
    version = serializers.SerializerMethodField(help_text="of its schema; null: its properties may be anything")
    properties = serializers.SerializerMethodField(help_text="JSON Schema, draft 2020-12")
    updated_at = serializers.DateTimeField()

    def get_version(self, schema: models.EventSchema) -> int | None:
        newest = next(iter(schema.versions.all()), None)
        return None if newest is None else newest.number

    def get_properties(self, schema: models.EventSchema) -> dict[str, Any] | None:
        newest = next(iter(schema.versions.all()), None)
        return None if newest is None else newest.document


class EventSchemaPage(serializers.Serializer[object]):
    """A page of schemas."""

    items = EventSchema(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
