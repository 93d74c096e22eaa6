"""Schemas of what shops usually tell, by the names of Segment's specification of e-commerce; theirs to change."""

from django.db import migrations

_TEXT = {"type": ["string", "null"], "maxLength": 500}
_ID = {"type": ["string", "integer", "null"]}
_NUMBER = {"type": ["number", "null"]}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_PRODUCT = {
    "product_id": _ID, "sku": _TEXT, "category": _TEXT, "name": _TEXT, "brand": _TEXT, "variant": _TEXT,
    "price": _NUMBER, "quantity": _COUNT, "coupon": _TEXT, "position": _COUNT, "url": _TEXT, "image_url": _TEXT,
    "currency": _TEXT, "value": _NUMBER, "cart_id": _ID, "id": _ID,
}  # fmt: skip
_PRODUCTS = {"type": ["array", "null"], "items": {"type": "object"}}
_ORDER = {
    "checkout_id": _ID, "order_id": _ID, "orderId": _ID, "affiliation": _TEXT, "total": _NUMBER, "subtotal": _NUMBER,
    "revenue": _NUMBER, "shipping": _NUMBER, "tax": _NUMBER, "discount": _NUMBER, "coupon": _TEXT, "currency": _TEXT,
    "products": _PRODUCTS,
}  # fmt: skip
_PAGE = {"name": _TEXT, "category": _TEXT, "path": _TEXT, "referrer": _TEXT, "title": _TEXT, "url": _TEXT}

FITTED = "personalisation"
SCHEMAS = [
    # name, aliases, purpose, properties
    ("Product Viewed", ["PDP_Visit", "Viewed Product", "product_viewed"], FITTED, _PRODUCT),
    ("Product Clicked", ["Clicked Product", "product_clicked"], FITTED, _PRODUCT),
    (
        "Product List Viewed",
        ["Viewed Product Category", "product_list_viewed"],
        FITTED,
        {"list_id": _ID, "category": _TEXT, "products": _PRODUCTS},
    ),
    ("Products Searched", ["Searched Products", "products_searched"], FITTED, {"query": _TEXT}),
    ("Product Added", ["Added Product", "product_added", "add_to_cart"], None, _PRODUCT),
    ("Product Removed", ["Removed Product", "product_removed", "remove_from_cart"], None, _PRODUCT),
    ("Cart Viewed", ["Viewed Cart", "cart_viewed"], None, {"cart_id": _ID, "products": _PRODUCTS}),
    ("Checkout Started", ["Started Checkout", "checkout_started", "begin_checkout"], None, _ORDER),
    ("Order Completed", ["Completed Order", "order_completed", "purchase"], None, _ORDER),
    ("Order Cancelled", ["Cancelled Order", "order_cancelled"], None, _ORDER),
    ("Order Refunded", ["Refunded Order", "order_refunded"], None, _ORDER),
    ("Page Viewed", ["Viewed Page"], FITTED, _PAGE),
    ("Screen Viewed", ["Viewed Screen"], FITTED, None),
    ("User Identified", [], None, None),
    ("User Aliased", [], None, None),
    ("Group Joined", [], None, None),
    ("Signed Up", ["User Registered"], None, None),
    ("Cart Updated", [], None, None),
]


def schemas_add(apps, schema_editor):
    schema = apps.get_model("events", "EventSchema")
    version = apps.get_model("events", "EventSchemaVersion")
    for name, aliases, purpose, properties in SCHEMAS:
        made, new = schema.objects.get_or_create(
            name=name, defaults={"aliases": aliases, "on_fault": "keep", "purpose_id": purpose}
        )
        if new and properties is not None:
            document = {"type": "object", "properties": properties}
            version.objects.create(schema=made, number=1, document=document)


class Migration(migrations.Migration):
    dependencies = [("events", "0004_schemas_and_dead_letters"), ("consent", "0002_purposes")]

    operations = [migrations.RunPython(schemas_add, migrations.RunPython.noop)]
