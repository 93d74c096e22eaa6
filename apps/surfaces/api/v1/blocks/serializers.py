"""What blocks look like in the API."""

from rest_framework import serializers

from apps.decisioning.content.models import Block as BlockModel
from apps.surfaces.api.approvals import ContentVersionLine, Review
from apps.surfaces.api.serializers import Strict


class BlockFields(Strict):
    """What a block is; what it says is in its versions."""

    name = serializers.CharField(max_length=120, required=False)
    tier = serializers.ChoiceField(BlockModel.Tier.values, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=50)
    market = serializers.CharField(max_length=40, required=False, allow_null=True, help_text="its code; null: all")


class BlockVersionNew(Strict):
    """What a block says from now on, as a draft."""

    content = serializers.DictField(
        child=serializers.DictField(), help_text="by language, then by field: those that its type leaves flexible"
    )
    base = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="number of the version that was edited; else 409"
    )
    valid_from = serializers.DateTimeField(required=False, allow_null=True)
    valid_until = serializers.DateTimeField(required=False, allow_null=True)
    written_by_model = serializers.BooleanField(required=False, help_text="the message says so")
    why = serializers.CharField(max_length=400, required=False, allow_blank=True)


class BlockNew(BlockFields):
    """A block with what it says first."""

    name = serializers.CharField(max_length=120)
    type = serializers.CharField(max_length=40, help_text="the code of its type")
    content = serializers.DictField(child=serializers.DictField(), help_text="by language, then by field")


class Block(serializers.Serializer[object]):
    """A piece of content of one type."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    type = serializers.CharField(source="type.code")
    tier = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    market = serializers.CharField(source="market.code", default=None, allow_null=True)
    newest = serializers.IntegerField(allow_null=True, help_text="number of the newest version")
    live = serializers.IntegerField(allow_null=True, help_text="number of the version that is published; null: none")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BlockPage(serializers.Serializer[object]):
    """A page of blocks."""

    items = Block(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class BlockVersion(ContentVersionLine):
    """What a block says since this version, and who agreed to it."""

    content = serializers.DictField(child=serializers.DictField())
    valid_from = serializers.DateTimeField(allow_null=True)
    valid_until = serializers.DateTimeField(allow_null=True)
    written_by_model = serializers.BooleanField()
    review = Review(allow_null=True)


class BlockType(serializers.Serializer[object]):
    """The kind of a block: its fields and their limits."""

    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    fields = serializers.ListField(  # type: ignore[assignment]  # a field called as one of the serializer's
        child=serializers.DictField(),
        help_text="name, label, kind and limits; fixed ones are the type's alone",
    )


class BlockTypePage(serializers.Serializer[object]):
    """A page of types."""

    items = BlockType(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
