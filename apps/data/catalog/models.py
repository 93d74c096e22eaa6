"""What is sold."""

from django.db import models
from django.db.models import F, Q

from apps.foundation.core.clock import now


class Item(models.Model):
    """A product. `price` and `cost` in units of `currency`; empty where not known. cost: what the shop itself pays for
    one, which no customer and no message is told."""

    sku = models.CharField("item number", max_length=80, unique=True)
    title = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=120, blank=True)
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    cost = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="what the shop pays for one; never shown"
    )
    currency = models.CharField(max_length=3, blank=True, help_text="ISO 4217")
    sold_at = models.DateTimeField(
        null=True, blank=True, help_text="when it was sold at this price; empty where the catalog gave the price"
    )
    url = models.URLField(max_length=1000, blank=True)
    image_url = models.URLField(max_length=1000, blank=True)
    in_stock = models.BooleanField(default=True)
    recommendable = models.BooleanField(default=True, help_text="may be shown in messages (postage and fees may not)")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["category"], name="item_category")]

    def __str__(self) -> str:
        return self.title or self.sku


class Promotion(models.Model):
    """An offer that holds for a while, such as free delivery in May.

    ends_at: None for no end; category: of items, empty for all; countries: codes of ISO 3166-1, empty for all.
    """

    code = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=300)
    category = models.CharField(max_length=120, blank=True)
    countries = models.JSONField(default=list, blank=True)
    discount_percent = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    url = models.URLField(max_length=1000, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="promotion_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(discount_percent=None) | Q(discount_percent__gt=0, discount_percent__lte=100),
                name="promotion_discount_is_a_share",
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], name="promotion_by_end")]

    def __str__(self) -> str:
        return self.title
