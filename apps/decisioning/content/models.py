"""Markets, brands, block types, blocks and templates; and what they compile to.

`[[ … ]]` is filled once, when a playbook version is made; `{{ … }}` is filled for each person.
Version rows never change: what was sent can be rendered again from them.
"""

from django.conf import settings
from django.db import models

from apps.foundation.core.append_only import append_only
from apps.foundation.core.clock import now


class Market(models.Model):
    """A part of the business with content of its own: a country, a region, a shop.

    Who works in it has the object permission `content.edit_market` on it; what they do there, their roles say.
    """

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    languages = models.JSONField(default=list, help_text="language tags that its content is written in, such as de-AT")
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        permissions = [("edit_market", "Can edit the content of a market")]

    def __str__(self) -> str:
        return self.name


class Brand(models.Model):
    """Who speaks: sender, postal address, look, and the hosts that links may go to. It has one owner."""

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    from_name = models.CharField(max_length=120)
    from_email = models.EmailField()
    reply_to = models.EmailField(blank=True)
    postal_address = models.CharField(max_length=300, help_text="shown in every message, as the law asks")
    shop_url = models.URLField(max_length=500)
    link_hosts = models.JSONField(default=list, help_text="hosts that links and images may go to")
    colours = models.JSONField(default=dict, blank=True, help_text="by name: accent, ink, paper, soft")
    default_language = models.CharField(max_length=20, default="en")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="brands")
    labels = models.JSONField(
        default=dict,
        blank=True,
        help_text="what customers read where a model chose or wrote something: by label, then by language",
    )
    unsafe_words = models.JSONField(
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        help_text="no product is shown whose title or category holds one of them",
    )
    page_accent = models.CharField(max_length=7, blank=True, default="", db_default="")
    page_words = models.JSONField(default=dict, blank=True, db_default=models.Value({}, models.JSONField()))
    updated_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name


class BlockType(models.Model):
    """The kind of a block: its fields, and how it looks. It has one owner.

    fields: a list of `{"name", "label", "kind", "fixed", "required", "value", "help"}` with the limits of the kind
    (`limits.py`); kind is one of text, rich_text, image, link, colour, choice, number, products. A **fixed** field
    carries its `value` here, changed only by the central team; a flexible one is filled in each block, within limits.
    """

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    fields = models.JSONField(default=list, blank=True)
    layout = models.TextField(blank=True, help_text="MJML of one or more sections; [[ field ]] marks a field")
    text_layout = models.TextField(help_text="the same as plain text")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="block_types")
    updated_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = "block type"

    def __str__(self) -> str:
        return self.name


class Block(models.Model):
    """A piece of content of one type, with one owner; what it says is in its versions.

    market: whose content it is; without one it is everybody's, and the central team's to change.
    """

    class Tier(models.TextChoices):
        FOUNDATION = "foundation", "brand foundation"
        CAMPAIGN = "campaign", "campaign framework"
        PERSONAL = "personal", "personalisation variables"

    name = models.CharField(max_length=120, unique=True)
    type = models.ForeignKey(BlockType, on_delete=models.PROTECT, related_name="blocks")
    tier = models.CharField(max_length=12, choices=Tier.choices, default=Tier.CAMPAIGN)
    tags = models.JSONField(default=list, blank=True)
    market = models.ForeignKey(Market, null=True, blank=True, on_delete=models.PROTECT, related_name="blocks")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="blocks")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        permissions = [("publish_block", "Can publish a block")]

    def __str__(self) -> str:
        return self.name


@append_only
class BlockVersion(models.Model):
    """What a block says since its version `number`, in each language: `{"en": {"headline": "…"}, "de": {…}}`.

    fields and layouts are those of the type at that time, so that the version stands for itself. Outside of valid_from
    (included) and valid_until (not included) no tier shows it. written_by_model: the message says so to the customer.
    """

    block = models.ForeignKey(Block, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    fields = models.JSONField()
    layout = models.TextField(blank=True)
    text_layout = models.TextField()
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    written_by_model = models.BooleanField(default=False)
    digest = models.CharField(max_length=64)
    why = models.CharField("why it was made", max_length=400, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["block", "number"], name="block_version_once"),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_until__isnull=True)
                | models.Q(valid_from__lt=models.F("valid_until")),
                name="block_version_begins_before_it_ends",
            ),
        ]
        ordering = ["block_id", "-number"]

    def __str__(self) -> str:
        return f"{self.block} v{self.number}"


class Persona(models.Model):
    """An invented person, to look at messages as: what would be known of them, by name. Never a real customer."""

    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=200, blank=True)
    profile = models.JSONField(default=dict, blank=True, help_text='such as {"first_name": "Anna", "country": "DE"}')
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="personas")
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Template(models.Model):
    """Layout and logic, owned by engineers; its sources are in its versions. channel: that it is written for; it never
    changes."""

    class Channel(models.TextChoices):
        EMAIL = "email", "e-mail"
        SMS = "sms", "SMS"
        PUSH = "push", "push"

    code = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    channel = models.CharField(
        max_length=8, choices=Channel.choices, default=Channel.EMAIL, db_default="email", editable=False
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="templates")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        permissions = [("publish_template", "Can publish a template")]

    def __str__(self) -> str:
        return self.name


@append_only
class TemplateVersion(models.Model):
    """The three sources of a template since its version `number`, the slots they name, in order, and its tests.

    cases, arrangement: as `cases.py` writes them, with the ids of blocks, as text, for their names. They are part of
    the digest, so that who approves agrees to them too; without any the digest is that of the sources alone.
    """

    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.TextField()
    mjml = models.TextField()
    text = models.TextField()
    slots = models.JSONField()
    cases = models.JSONField(default=list, blank=True)
    arrangement = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=64)
    why = models.CharField("why it was made", max_length=400, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="template_version_once")]
        ordering = ["template_id", "-number"]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"


@append_only
class CompiledTemplate(models.Model):
    """A template version with all block versions of its slots put in, for one language: Jinja, ready to render.

    Known by the digest of its sources: the same sources are the same row.
    """

    digest = models.CharField(max_length=64, unique=True)
    language = models.CharField(max_length=20)
    subject = models.TextField()
    html = models.TextField()
    text = models.TextField()
    tokens = models.JSONField(help_text="names of the profile values that it uses")
    link_hosts = models.JSONField(help_text="hosts that links of items may go to")
    shop_url = models.URLField(max_length=500, help_text="where a link of an item goes that may not be used")
    largest_bytes = models.PositiveIntegerField(help_text="HTML of the largest trial render; Gmail clips at 102 kB")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.digest[:12]} ({self.language})"
