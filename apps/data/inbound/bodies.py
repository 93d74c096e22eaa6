"""Reading what shops and help desks say. Pure.

Shopify and WooCommerce have forms of their own; of other systems a mapping says where things stand, as paths of names
with dots: `{"what": "tickets", "number": "ticket.id", "at": "ticket.updated_at", "email": "ticket.requester.email",
"state": "ticket.status", "closed": ["solved", "closed"]}`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from apps.foundation.core.errors import Invalid

from .contracts import Bought, CartSaid, ItemSaid, OrderSaid, PersonSaid, Said, TicketSaid, Who

_FIELDS: Final = ("first_name", "last_name", "country", "language", "time_zone")
_ITEM_TEXTS: Final = {"title": 300, "category": 120, "currency": 3, "url": 1000, "image_url": 1000}
_AMOUNTS: Final = ("price", "cost")
_AMOUNT_MOST: Final = 10**10
_PRICED: Final = re.compile(r"(?P<amount>-?\d{1,12}(\.\d{1,6})?) ?(?P<currency>[A-Z]{3})")
"""A price or a cost as feeds for Google write it: 15.00 EUR."""
_THERE: Final = frozenset({"in_stock", "in stock", "instock", "available", "yes", "true"})
_PAID: Final = frozenset({"processing", "completed", "refunded"})
_NO_SALE: Final = frozenset({"cancelled", "failed", "refunded", "trash"})


def shopify_read(topic: str, body: Any) -> Said | None:
    """What a webhook of Shopify says; None for topics that say nothing here. Raises Invalid."""
    what, _, _deed = topic.partition("/")
    if what == "orders":
        customer = _object(body.get("customer")) if isinstance(body, dict) else {}
        said = _object(body)
        address = _object(said.get("shipping_address")) or _object(said.get("billing_address"))
        return OrderSaid(
            number=_number(said.get("id")),
            who=_shopify_who(said, customer),
            changed_at=moment_of(said.get("updated_at") or said.get("created_at")),
            placed_at=moment_of(said.get("created_at")),
            cancelled=bool(said.get("cancelled_at")) or said.get("financial_status") in ("voided", "refunded"),
            paid=said.get("financial_status") in ("paid", "partially_paid", "authorized", "partially_refunded"),
            country=text_of(address.get("country_code")),
            currency=text_of(said.get("currency")),
            lines=_lines(said.get("line_items"), sku=("sku", "variant_id", "product_id"), title="title"),
        )
    if what in ("checkouts", "carts"):
        said = _object(body)
        return CartSaid(
            number=_number(said.get("token") or said.get("id")),
            who=_shopify_who(said, _object(said.get("customer"))),
            changed_at=moment_of(said.get("updated_at") or said.get("created_at")),
            currency=text_of(said.get("currency") or said.get("presentment_currency")),
            lines=_lines(said.get("line_items"), sku=("sku", "variant_id", "product_id"), title="title"),
        )
    return None


def _shopify_who(said: Mapping[str, Any], customer: Mapping[str, Any]) -> Who:
    return Who(
        number=text_of(customer.get("id")),
        email=text_of(said.get("email") or customer.get("email")),
        phone=text_of(said.get("phone") or customer.get("phone")),
        first_name=text_of(customer.get("first_name")),
        last_name=text_of(customer.get("last_name")),
    )


def woocommerce_read(topic: str, body: Any) -> Said | None:
    """What a webhook of WooCommerce says; None for topics that say nothing here. Raises Invalid.

    Its moments come in the shop's time and, with `_gmt` behind the name, in UTC without saying so.
    """
    if not topic.startswith("order."):
        return None
    said = _object(body)
    billing = _object(said.get("billing"))
    number = text_of(said.get("customer_id"))
    status = text_of(said.get("status"))
    return OrderSaid(
        number=_number(said.get("id")),
        who=Who(
            number="" if number == "0" else number,  # a guest
            email=text_of(billing.get("email")),
            phone=text_of(billing.get("phone")) if text_of(billing.get("phone")).startswith("+") else "",
            first_name=text_of(billing.get("first_name")),
            last_name=text_of(billing.get("last_name")),
        ),
        changed_at=moment_of(said.get("date_modified_gmt"), zone=UTC),
        placed_at=moment_of(said.get("date_created_gmt"), zone=UTC),
        cancelled=status in _NO_SALE or topic == "order.deleted",
        paid=status in _PAID,
        country=text_of(billing.get("country")),
        currency=text_of(said.get("currency")),
        lines=_lines(said.get("line_items"), sku=("sku", "variation_id", "product_id"), title="name"),
    )


def mapped_read(mapping: Mapping[str, Any], body: Any) -> Said:
    """What a body or a row says by a mapping. Raises Invalid."""
    number = _number(at(body, mapping["number"]))
    changed_at = moment_of(at(body, mapping["at"]), zone=UTC if mapping.get("utc") else None)
    if mapping["what"] == "items":
        return ItemSaid(number, changed_at, item_fields(mapping, body))
    who = Who(
        number=text_of(at(body, mapping.get("person", ""))),
        email=text_of(at(body, mapping.get("email", ""))),
        phone=text_of(at(body, mapping.get("phone", ""))),
    )
    if mapping["what"] == "tickets":
        state = text_of(at(body, mapping["state"])).casefold()
        if not state:
            raise Invalid("inbound_body", "It says no state where the mapping looks for it")
        closed = {str(one).casefold() for one in mapping["closed"]}
        return TicketSaid(number, who, changed_at, state not in closed)
    fields = {name: text_of(at(body, mapping[name])) for name in _FIELDS if name in mapping}
    attributes = {name: at(body, path) for name, path in mapping.get("attributes", {}).items()}
    return PersonSaid(
        number=number,
        who=Who(who.number or number, who.email, who.phone),
        changed_at=changed_at,
        fields={name: value for name, value in fields.items() if value},
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


_VALUE_MOST: Final = 2_000
FETCHED: Final = "tessera_fetched_at"
"""The name under which the moment of an item of a feed stands, where the feed has none of its own."""


def item_fields(mapping: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """What is said of an item. What stands nowhere is left as it is. Raises Invalid."""
    fields: dict[str, Any] = {}
    for name in _ITEM_TEXTS:
        if name in mapping and (value := at(body, mapping[name])) is not None:
            fields[name] = text_of(value)[: _ITEM_TEXTS[name]]
    for name in _AMOUNTS:
        if name in mapping and (value := at(body, mapping[name])) not in (None, ""):
            if isinstance(value, str) and (written := _PRICED.fullmatch(value.strip())):
                value = written["amount"]
                if name == "price":
                    fields.setdefault("currency", written["currency"])
                elif fields.get("currency", "").upper() not in ("", written["currency"]):
                    raise Invalid("inbound_body", "Its cost is in another currency than its price")
            try:
                fields[name] = Decimal(str(value)).quantize(Decimal("0.0001"))
            except InvalidOperation:
                raise Invalid("inbound_body", f"Its {name} is no number") from None
            if not fields[name].is_finite() or abs(fields[name]) >= _AMOUNT_MOST:
                raise Invalid("inbound_body", f"Its {name} is no number that can be kept")
    if "in_stock" in mapping and (value := at(body, mapping["in_stock"])) is not None:
        if isinstance(value, str):
            value = value.strip().casefold() in _THERE or (value.strip().isdecimal() and int(value) > 0)
        fields["in_stock"] = bool(value) and not (isinstance(value, int | float) and value <= 0)
    return fields


def person_values(mapping: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """What is said of a person: texts, numbers, yes or no, and lists of texts, by the mapping's names. What stands
    nowhere, or is something else, is not named. Raises Invalid for a text that is too long to be meant."""
    found: dict[str, Any] = {}
    for name, path in mapping.items():
        value = at(body, path)
        if isinstance(value, float):
            value = Decimal(str(value))
        if isinstance(value, str) and len(value) > _VALUE_MOST:
            raise Invalid("inbound_body", "A value is too long")
        plain = isinstance(value, str | int | Decimal) and value != ""
        if plain or (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
            found[name] = value
    return found


def mapping_problem(mapping: Any) -> str:
    """What is wrong with a mapping, "" if nothing."""
    if not isinstance(mapping, dict) or mapping.get("what") not in ("tickets", "people", "items"):
        return "mapping: an object whose what is tickets, people or items"
    common = {"what", "number", "at", "utc"}
    about_people = {"person", "email", "phone", "state", "closed", "attributes", *_FIELDS}
    known = common | ({*_ITEM_TEXTS, *_AMOUNTS, "in_stock"} if mapping["what"] == "items" else about_people)
    if unknown := sorted(str(name) for name in mapping.keys() - known):
        return f"mapping: there is no {unknown[0]}"
    tickets = mapping["what"] == "tickets"
    for name in ("number", "at", *(["state"] if tickets else [])):
        if not _is_path(mapping.get(name)):
            return f"mapping: {name} is a path such as ticket.id"
    if tickets and not (isinstance(mapping.get("closed"), list) and mapping["closed"]):
        return "mapping: closed is a list of states that mean closed"
    if tickets and not any(_is_path(mapping.get(name)) for name in ("person", "email", "phone")):
        return "mapping: person, email or phone says whose ticket it is"
    if not isinstance(mapping.get("attributes", {}), dict):
        return "mapping: attributes is an object of names and paths"
    return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def at(data: Any, path: str) -> Any:
    """What stands at a path of names with dots, None where nothing does."""
    if not path:
        return None
    for name in path.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def text_of(value: Any) -> str:
    """A text or a number as text, "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def moment_of(value: Any, *, zone: Any = None) -> datetime:
    """A moment in ISO 8601, or in seconds since 1970. zone: of those that say none. Raises Invalid."""
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        else:
            moment = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Invalid("inbound_body", "It says no moment where one is needed") from None
    if moment.tzinfo is None:
        if zone is None:
            raise Invalid("inbound_body", "Its moment says no time zone")
        moment = moment.replace(tzinfo=zone)
    return moment


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> str:
    number = text_of(value)
    if not number or len(number) > 80:
        raise Invalid("inbound_body", "It has no number of 1 to 80 characters")
    return number


def _lines(given: Any, *, sku: tuple[str, ...], title: str) -> tuple[Bought, ...]:
    lines = []
    for one in given if isinstance(given, list) else []:
        said = _object(one)
        number = next((text for name in sku if (text := text_of(said.get(name))) not in ("", "0")), "")
        try:
            price = Decimal(str(said.get("price")))
            quantity = int(said.get("quantity") or 0)
        except (InvalidOperation, ValueError, TypeError):
            raise Invalid("inbound_body", "A line has no price or quantity that is a number") from None
        if not price.is_finite():
            raise Invalid("inbound_body", "A line has no price or quantity that is a number")
        if number:
            lines.append(Bought(number[:80], text_of(said.get(title))[:300], quantity, price))
    return tuple(lines)
