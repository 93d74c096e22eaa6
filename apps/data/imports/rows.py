"""From the fields of a record to rows for staging. Pure: no database, so hot that it makes no object for a line.

Who a record tells of is read by `people.py`. What many lines share (an order's number, date and customer) is read once
for each run of lines that say the same.
"""

from decimal import Decimal
from hashlib import sha256
from operator import itemgetter

from apps.data.profiles.normalize import country_code, text_clean
from apps.foundation.core.postgres import copy_value

from .faults import Fault
from .mapping import ORDER_FIELDS, Binding, Mapping
from .people import NAME_LIMIT, PersonReader, Sealer, Shapes, fields_getter
from .values import LINE_TOTAL_LIMIT, amount_read, quantity_read, time_read

TITLE_LIMIT = 300
NUMBER_LIMIT = 80

LINE_COLUMNS = (
    "import_id", "line", "order_number", "key", "placed_at", "cancelled", "country", "currency",
    "sku", "title", "category", "quantity", "unit_price",
)  # fmt: skip


class LineLost(Exception):
    """The line can't be used."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class ProfileRows:
    """Records of a file of people."""

    def __init__(self, mapping: Mapping, binding: Binding, import_id: int, sealer: Sealer, shapes: Shapes) -> None:
        self._person = PersonReader(mapping, binding, import_id, sealer, shapes)
        self.chunk = self._person.chunk
        self.newcomers = self._person.newcomers

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._person.defined(shapes)

    def read(self, fields: list[str], line: int, faults: list[Fault]) -> tuple[str, str]:
        """The person's staging row, and no line. Raises LineLost."""
        person = self._person.read(fields, line, None, faults)
        if person is None:
            raise LineLost(Fault("", "nothing in it tells who it is: no usable number or address", True))
        return person[1], ""

    def carried(self) -> dict[str, str]:
        """Nothing goes on from line to line."""
        return {}


class OrderRows:
    """Records of a file of order lines."""

    def __init__(
        self,
        mapping: Mapping,
        binding: Binding,
        import_id: int,
        sealer: Sealer,
        shapes: Shapes,
        carried: dict[str, str] | None = None,
    ) -> None:
        self._mapping = mapping
        self._binding = binding
        self._import_id = import_id
        self._person = PersonReader(mapping, binding, import_id, sealer, shapes)
        self.chunk = self._person.chunk
        get = binding.fields.get
        self._order = get("order", ())[0]
        head = {place for name in ORDER_FIELDS for place in get(name, ())} | set(self._person.places)
        head |= {place for place, _ in binding.cancelled}
        self._head_places = sorted(head)
        self._head = fields_getter(self._head_places)
        self._last_head: tuple[str, ...] | None = None
        self._shared = ""
        self._carried = dict(carried or {})
        tail = [get(name, ()) for name in ("sku", "title", "category")]
        self._sku, self._title, self._category = tail
        self._quantity = get("quantity", ())[0]
        self._price = get("unit_price", ())[0]
        self._numbers_get = itemgetter(self._quantity, self._price)
        self._numbers: dict[tuple[str, str], str] = {}
        self._goods: dict[tuple[str, ...], str] = {}
        self._goods_get = fields_getter(sorted({place for places in tail for place in places}))

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._person.defined(shapes)
        self._last_head = None

    def carried(self) -> dict[str, str]:
        """The order that was read last, to go on from after a stop: column's place → text."""
        return self._carried

    def read(self, fields: list[str], line: int, faults: list[Fault]) -> tuple[str, str]:
        """Staging rows of the person (`""` when the line before had the same) and of the line. Raises LineLost."""
        person_row = ""
        head = self._head(fields)
        if head != self._last_head:
            self._last_head = None
            if self._mapping.carry:
                self._carry(fields)
            person_row = self._read_head(fields, line, faults)
            self._last_head = head
        goods_of = self._goods_get(fields)
        goods = self._goods.get(goods_of)
        if goods is None:
            goods = self._read_goods(fields, faults)
            if len(self._goods) > 20_000:  # memory stays flat, however many items there are
                self._goods.clear()
            if sum(map(len, goods_of)) < 500:
                self._goods[goods_of] = goods
        numbers_of = self._numbers_get(fields)
        numbers = self._numbers.get(numbers_of)
        if numbers is None:
            numbers = "\t".join(map(str, self._read_numbers(fields)))
            if len(self._numbers) > 20_000:
                self._numbers.clear()
            if len(numbers_of[0]) + len(numbers_of[1]) < 60:
                self._numbers[numbers_of] = numbers
        return person_row, f"{self._import_id}\t{line}\t{self._shared}\t{goods}\t{numbers}\n"

    def _read_numbers(self, fields: list[str]) -> tuple[int, Decimal]:
        place = self._quantity
        try:
            quantity = quantity_read(fields[place])
            place = self._price
            price = amount_read(fields[place], self._mapping.decimal)
        except ValueError as error:
            raise LineLost(Fault(self._binding.header[place], str(error), True)) from None
        if abs(quantity) > 1000 and abs(quantity * price) >= LINE_TOTAL_LIMIT:
            raise LineLost(Fault(self._binding.header[place], "quantity times price is absurdly large", True))
        return quantity, price

    def _carry(self, fields: list[str]) -> None:
        number = fields[self._order].strip()
        order_place = str(self._order)
        if number and number == self._carried.get(order_place):
            for place in self._head_places:
                if not fields[place].strip():
                    fields[place] = self._carried.get(str(place), "")
        else:
            self._carried = {str(place): fields[place] for place in self._head_places if len(fields[place]) <= 1000}
            self._carried[order_place] = number

    def _read_head(self, fields: list[str], line: int, faults: list[Fault]) -> str:
        header, used = self._binding.header, self._binding.fields
        number = text_clean(fields[self._order])
        if not number or len(number) > NUMBER_LIMIT:
            reason = f"the order number is longer than {NUMBER_LIMIT} characters" if number else "no order number"
            raise LineLost(Fault(header[self._order], reason, True))
        place = next((place for place in used["placed_at"] if fields[place].strip()), used["placed_at"][0])
        try:
            placed_at = time_read(fields[place], self._mapping.date_format, self._mapping.time_zone)
        except ValueError as error:
            raise LineLost(Fault(header[place], str(error), True)) from None
        currency = self._mapping.currency
        for place in used.get("currency", ()):
            text = fields[place].strip().upper()
            if len(text) == 3 and text.isascii() and text.isalpha():
                currency = text
            elif text:
                faults.append(Fault(header[place], "a currency has three letters"))
        cancelled = any(rule.holds(fields[place]) for place, rule in self._binding.cancelled)
        person = self._person.read(fields, line, placed_at, faults)
        country = country_code(next((t for p in used.get("country", ()) if (t := fields[p].strip())), ""))
        shared = (number, person[0] if person else None, placed_at, cancelled, country, currency)
        self._shared = "\t".join(map(copy_value, shared))
        return person[1] if person else ""

    def _read_goods(self, fields: list[str], faults: list[Fault]) -> str:
        sku = next((text for place in self._sku if (text := text_clean(fields[place]))), "")
        if not sku:
            raise LineLost(Fault(self._binding.header[self._sku[0]], "no item number", True))
        if len(sku) > NUMBER_LIMIT:  # names used as numbers may be long; cut ones must still differ
            sku = f"{sku[: NUMBER_LIMIT - 17]}-{sha256(sku.encode()).hexdigest()[:16]}"
        title = next((text for place in self._title if (text := text_clean(fields[place]))), "")[:TITLE_LIMIT]
        category = next((text for place in self._category if (text := text_clean(fields[place]))), "")[:NAME_LIMIT]
        return "\t".join(map(copy_value, (sku, title, category)))


def rows_reader(
    mapping: Mapping,
    binding: Binding,
    import_id: int,
    sealer: Sealer,
    shapes: Shapes,
    carried: dict[str, str] | None = None,
) -> ProfileRows | OrderRows:
    """What reads the records of an import. shapes: of the attributes that are defined; `defined` gives newer ones."""
    if mapping.kind == "orders":
        return OrderRows(mapping, binding, import_id, sealer, shapes, carried)
    return ProfileRows(mapping, binding, import_id, sealer, shapes)
