"""What the database holds about items."""

import pytest
from django.db import IntegrityError, transaction

from apps.data.catalog.models import Item


@pytest.mark.django_db
def test_an_item_number_is_there_once() -> None:
    Item.objects.create(sku="KIT-001", title="Oak chopping board")

    with pytest.raises(IntegrityError), transaction.atomic():
        Item.objects.create(sku="KIT-001", title="Another board")

    assert Item.objects.get().title == "Oak chopping board"


@pytest.mark.django_db
def test_an_item_without_a_title_is_called_by_its_number() -> None:
    assert str(Item.objects.create(sku="KIT-002")) == "KIT-002"
    assert str(Item.objects.create(sku="KIT-003", title="Kettle")) == "Kettle"
