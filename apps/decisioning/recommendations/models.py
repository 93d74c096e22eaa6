"""What sells, and what is bought together: computed ahead, in sets that decisions name; and what editors pick."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.data.catalog.models import Item
from apps.decisioning.content.models import Brand
from apps.foundation.core.clock import now


class RecommendationSet(models.Model):
    """One computation over the orders up to `as_of`. A decision says which set it used."""

    as_of = models.DateTimeField()
    created_at = models.DateTimeField(default=now)
    half_life_days = models.FloatField(default=7.0)
    orders = models.IntegerField(default=0)
    ready = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"Set {self.pk}, as of {self.as_of:%Y-%m-%d %H:%M}"


class BestSeller(models.Model):
    """The item at `rank` (from 1) of one list: the whole shop's, a country's or a category's.

    score: orders that hold the item, each worth half for every half-life before the newest order of the list;
    comparable within one list only.
    """

    class Scope(models.TextChoices):
        SHOP = "shop", "shop"
        COUNTRY = "country", "country"
        CATEGORY = "category", "category"

    set = models.ForeignKey(RecommendationSet, on_delete=models.CASCADE, related_name="best_sellers")
    scope = models.CharField(max_length=8, choices=Scope.choices)
    key = models.CharField(max_length=120, blank=True, help_text="the country or the category")
    rank = models.PositiveSmallIntegerField()
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["set", "scope", "key", "rank"], name="best_seller_one_per_rank")]


class Neighbour(models.Model):
    """An item often bought by those who bought another. score: cosine of their buyers, 0 to 1."""

    set = models.ForeignKey(RecommendationSet, on_delete=models.CASCADE, related_name="neighbours")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField()
    neighbour = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["set", "item", "rank"], name="neighbour_one_per_rank")]


class EditorialPicks(models.Model):
    """Items that staff picked, in their order, for a place and a while.

    brand: None for all; placement: where a playbook is asked for, "" for everywhere; category: shown to those whose
    top category it is, "" to everybody; items: their numbers, best first. What can't be shown is passed over.
    """

    name = models.CharField(max_length=80, unique=True)
    brand = models.ForeignKey(Brand, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    placement = models.CharField(max_length=60, blank=True)
    category = models.CharField(max_length=120, blank=True)
    items = models.JSONField(default=list)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = "editorial picks"
        verbose_name_plural = "editorial picks"
        default_permissions = ("view", "add", "change")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(valid_until=None) | Q(valid_until__gt=F("valid_from")),
                name="picks_end_after_they_begin",
            )
        ]

    def __str__(self) -> str:
        return self.name
