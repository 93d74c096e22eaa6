"""What is sold."""

from django.db import models

from apps.foundation.core.clock import now


class Item(models.Model):
    """A product. `price` in units of `currency`; empty where not known."""

    sku = models.CharField("item number", max_length=80, unique=True)
    title = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=120, blank=True)
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
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
