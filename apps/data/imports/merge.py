"""From the staging tables into profiles, items, orders and lines: set-wise SQL, in one transaction of the caller.

Every statement is safe to repeat: merged a second time, or from another file that overlaps, it changes nothing.
The temporary tables are there because the application's role may ANALYZE only what it owns, and without figures
the planner joins half a million staged lines in nested loops.
"""

from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.attributes import attributes_seen, shapes_read

from .mapping import Mapping
from .sealing import StagingKey, identifiers_renew, identifiers_write, sensitive_write

# Most people have one line, which is taken as it is: to sort and group a million of them takes longer than all else.
_PEOPLE = (
    "CREATE TEMP TABLE merge_many ON COMMIT DROP AS"
    " SELECT key FROM imports_stagedperson WHERE import_id = %(import)s AND key <> '' GROUP BY key HAVING count(*) > 1",
    "ANALYZE merge_many",
    # what the latest line with something in it says, for each person: a blank never erases
    """
    CREATE TEMP TABLE merge_people ON COMMIT DROP AS
    SELECT key, line, seen_at, NULL::bigint AS profile_id, false AS is_new, profile_id AS drawn,
        external_id, external_digest, profile_id AS external_drawn, email, email_digest, profile_id AS email_drawn,
        email_made, phone, phone_digest, profile_id AS phone_drawn, first_name, last_name, country, language, time_zone,
        '{{}}'::jsonb AS attributes, 0 AS turn
    FROM imports_stagedperson AS staged
    WHERE import_id = %(import)s AND key <> '' AND NOT EXISTS (SELECT FROM merge_many WHERE merge_many.key = staged.key)
    UNION ALL
    SELECT key, min(line), max(seen_at), NULL, false, min(profile_id),
        (array_agg(external_id))[1], (array_agg(external_digest))[1], (array_agg(profile_id))[1],
        {last_address},
        coalesce(bool_and(email_made) FILTER (WHERE email_digest IS NOT NULL), false),
        {last_phone},
        {last_texts},
        '{{}}', 0
    FROM imports_stagedperson JOIN merge_many USING (key) WHERE import_id = %(import)s GROUP BY key
    """.format(  # noqa: S608  # names of our own
        last_address=",\n".join(
            f"(array_agg({name} ORDER BY email_made, seen_at DESC NULLS LAST, line DESC)"
            " FILTER (WHERE email_digest IS NOT NULL))[1]"
            for name in ("email", "email_digest", "profile_id")
        ),
        last_phone=",\n".join(
            f"(array_agg({name} ORDER BY seen_at DESC NULLS LAST, line DESC)"
            " FILTER (WHERE phone_digest IS NOT NULL))[1]"
            for name in ("phone", "phone_digest", "profile_id")
        ),
        last_texts=",\n".join(
            f"coalesce((array_agg({name} ORDER BY seen_at DESC NULLS LAST, line DESC) FILTER (WHERE {name} <> ''))[1],"
            " '')"
            for name in ("first_name", "last_name", "country", "language", "time_zone")
        ),
    ),
)

_ATTRIBUTES = """
UPDATE merge_people AS people SET attributes = told.attributes
FROM (SELECT key, jsonb_object_agg(pair.key_, pair.value ORDER BY seen_at NULLS FIRST, line) AS attributes
      FROM imports_stagedperson, LATERAL jsonb_each(attributes) AS pair(key_, value)
      WHERE import_id = %(import)s AND pair.key_ <> ALL (%(sensitive)s) GROUP BY key) AS told
WHERE told.key = people.key
"""

_FIND = (
    # 1. by the source's own number
    "UPDATE merge_people AS people SET profile_id = identifier.profile_id FROM profiles_identifier AS identifier"
    " WHERE identifier.kind = 'external_id' AND identifier.digest = people.external_digest",
    # 2. a new number: by the address, unless that person has another number of this source (a family's address),
    #    and one number only for each person
    "WITH candidate AS ("
    "  SELECT people.key, people.line, (array_agg(identifier.profile_id"
    "         ORDER BY identifier.main DESC, identifier.profile_id))[1] AS profile_id"
    "  FROM merge_people AS people"
    "  JOIN profiles_identifier AS identifier ON identifier.kind = 'email' AND identifier.digest = people.email_digest"
    "  WHERE people.profile_id IS NULL AND people.external_digest IS NOT NULL AND NOT people.email_made"
    "    AND NOT EXISTS (SELECT FROM profiles_identifier AS other WHERE other.profile_id = identifier.profile_id"
    "                    AND other.kind = 'external_id' AND other.source = %(source)s)"
    "  GROUP BY people.key, people.line),"
    " first AS (SELECT DISTINCT ON (profile_id) profile_id, key FROM candidate ORDER BY profile_id, line)"
    " UPDATE merge_people AS people SET profile_id = first.profile_id FROM first WHERE first.key = people.key",
    # 3. who has a number is somebody of their own
    "UPDATE merge_people SET profile_id = drawn, is_new = true"
    " WHERE profile_id IS NULL AND external_digest IS NOT NULL",
)

# 4. without a number: by the address, here or in this file; then by the phone
_FIND_BY = """
WITH holder AS (
  SELECT people.key, identifier.profile_id, identifier.main
  FROM merge_people AS people
  JOIN profiles_identifier AS identifier ON identifier.kind = '{kind}' AND identifier.digest = people.{kind}_digest
  WHERE people.profile_id IS NULL
  UNION ALL
  SELECT people.key, other.profile_id, true
  FROM merge_people AS people JOIN merge_people AS other ON other.{kind}_digest = people.{kind}_digest
  WHERE people.profile_id IS NULL AND other.profile_id IS NOT NULL),
first AS (SELECT DISTINCT ON (key) key, profile_id FROM holder ORDER BY key, main DESC, profile_id)
UPDATE merge_people AS people SET profile_id = first.profile_id FROM first WHERE first.key = people.key
"""
_NEW_BY = """
UPDATE merge_people SET profile_id = drawn, is_new = true WHERE profile_id IS NULL AND {kind}_digest IS NOT NULL
"""

_PROFILES_ADD = """
INSERT INTO profiles_profile (id, first_name, last_name, country, language, time_zone, attributes, source,
    created_at, updated_at)
SELECT profile_id, first_name, last_name, country, language, time_zone, attributes, %(source)s,
    statement_timestamp(), statement_timestamp()
FROM merge_people WHERE is_new
"""

# Whose data is restricted (GDPR, Article 18) stays as they are: nothing that the file says of them counts.
_RESTRICTED = """
UPDATE merge_people AS people SET first_name = '', last_name = '', country = '', language = '', time_zone = '',
    attributes = '{}', external_digest = NULL, email_digest = NULL, phone_digest = NULL
FROM profiles_profile AS profile WHERE profile.id = people.profile_id AND profile.restricted_at IS NOT NULL
"""

# Several keys of a file may be one person: they fill in one after the other, the latest last.
_TURNS = """
UPDATE merge_people AS people SET turn = ranked.turn
FROM (SELECT key, row_number() OVER (PARTITION BY profile_id ORDER BY seen_at NULLS FIRST, line) AS turn
      FROM merge_people WHERE NOT is_new) AS ranked
WHERE ranked.key = people.key
"""
_PROFILES_REFRESH = """
UPDATE profiles_profile AS profile SET
    first_name = coalesce(nullif(people.first_name, ''), profile.first_name),
    last_name = coalesce(nullif(people.last_name, ''), profile.last_name),
    country = coalesce(nullif(people.country, ''), profile.country),
    language = coalesce(nullif(people.language, ''), profile.language),
    time_zone = coalesce(nullif(people.time_zone, ''), profile.time_zone),
    attributes = profile.attributes || people.attributes,
    updated_at = statement_timestamp()
FROM merge_people AS people
WHERE people.profile_id = profile.id AND people.turn = %(turn)s AND (
    people.first_name NOT IN ('', profile.first_name) OR people.last_name NOT IN ('', profile.last_name)
    OR people.country NOT IN ('', profile.country) OR people.language NOT IN ('', profile.language)
    OR people.time_zone NOT IN ('', profile.time_zone) OR NOT profile.attributes @> people.attributes)
"""

_ADDRESSES = (
    # the address of each person that counts: a real one before a made one, then the latest
    "CREATE TEMP TABLE merge_{kind} ON COMMIT DROP AS"
    " SELECT DISTINCT ON (profile_id) profile_id, {kind} AS value, {kind}_digest AS digest, {made} AS made,"
    "  {kind}_drawn AS drawn"
    " FROM merge_people WHERE {kind}_digest IS NOT NULL"
    " ORDER BY profile_id, {made}, seen_at DESC NULLS LAST, line DESC",
    # a made address is for those without any
    "DELETE FROM merge_{kind} AS address USING profiles_identifier AS identifier"
    " WHERE address.made AND identifier.profile_id = address.profile_id AND identifier.kind = '{kind}'"
    " AND identifier.main",
    "ANALYZE merge_{kind}",
)
# Of an address and of a phone a file gives a person one, the latest: what it gave who was written down as new gives
# way. Theirs came in at the moment that they did themselves.
_EARLIER = """
DELETE FROM profiles_identifier AS earlier
USING merge_{kind} AS address, imports_stagedperson AS staged, profiles_profile AS person
WHERE staged.import_id = %(import)s AND staged.key = '' AND staged.profile_id = address.profile_id
  AND person.id = address.profile_id AND earlier.profile_id = address.profile_id AND earlier.kind = '{kind}'
  AND earlier.digest <> address.digest AND earlier.created_at = person.created_at AND NOT earlier.verified
"""
_ADDRESSES_MAIN = (
    # a newer address becomes the main one, but neither displaces one the person confirmed, nor gets round a
    # suppression that the person wanted
    "UPDATE profiles_identifier AS identifier SET main = false FROM merge_{kind} AS address"
    " WHERE identifier.profile_id = address.profile_id AND identifier.kind = '{kind}' AND identifier.main"
    " AND identifier.digest <> address.digest AND NOT identifier.verified"
    " AND NOT EXISTS (SELECT FROM consent_suppression AS suppression"
    "                 WHERE suppression.digest = identifier.digest AND suppression.reason <> 'bounce')",
    "UPDATE profiles_identifier AS identifier SET main = true FROM merge_{kind} AS address"
    " WHERE identifier.profile_id = address.profile_id AND identifier.kind = '{kind}'"
    " AND identifier.digest = address.digest AND NOT identifier.main"
    " AND NOT EXISTS (SELECT FROM profiles_identifier AS other WHERE other.profile_id = identifier.profile_id"
    "                 AND other.kind = '{kind}' AND other.main)",
)

_LINES = """
CREATE TEMP TABLE merge_lines ON COMMIT DROP AS
SELECT line, order_number, key, placed_at, cancelled, country, currency, sku, quantity, unit_price,
    key IS NOT NULL AND NOT cancelled AND quantity > 0 AND unit_price > 0 AS sold
FROM imports_stagedline WHERE import_id = %(import)s
"""
# Grouped by hash and joined back, because to sort half a million lines by text takes ten times as long; each step a
# table of its own with figures, because joined as subqueries they were once run anew for every item.
_ITEMS = (
    "CREATE TEMP TABLE merge_sold ON COMMIT DROP AS"
    " SELECT sku, max(placed_at) AS placed_at FROM merge_lines WHERE sold GROUP BY sku",
    "ANALYZE merge_sold",
    "CREATE TEMP TABLE merge_last ON COMMIT DROP AS"
    " SELECT max(line.line) AS line FROM merge_lines AS line JOIN merge_sold USING (sku, placed_at)"
    " WHERE line.sold GROUP BY sku",
    "ANALYZE merge_last",
    "CREATE TEMP TABLE merge_prices ON COMMIT DROP AS"
    " SELECT sku, unit_price AS price, currency, placed_at AS sold_at FROM merge_lines JOIN merge_last USING (line)",
    "ANALYZE merge_prices",
    # the title that most purchases had: other lines hold notes of the store's staff
    "CREATE TEMP TABLE merge_titles ON COMMIT DROP AS"
    " SELECT DISTINCT ON (sku) sku, title FROM ("
    "  SELECT sku, title, count(*) FILTER (WHERE key IS NOT NULL AND quantity > 0 AND unit_price > 0) AS bought,"
    "   count(*) AS lines, max(line) AS line"
    "  FROM imports_stagedline WHERE import_id = %(import)s AND title <> '' GROUP BY sku, title) AS counted"
    " ORDER BY sku, bought DESC, lines DESC, line DESC",
    "ANALYZE merge_titles",
    "CREATE TEMP TABLE merge_skus ON COMMIT DROP AS"
    " SELECT sku, coalesce(max(category), '') AS category FROM imports_stagedline WHERE import_id = %(import)s"
    " GROUP BY sku",
    "ANALYZE merge_skus",
    "CREATE TEMP TABLE merge_items ON COMMIT DROP AS"
    " SELECT sku, category, coalesce(title, '') AS title, price, coalesce(currency, '') AS currency, sold_at"
    " FROM merge_skus LEFT JOIN merge_prices USING (sku) LEFT JOIN merge_titles USING (sku)",
    "ANALYZE merge_items",
)
_ITEMS_ADD = """
INSERT INTO catalog_item (sku, title, category, price, currency, sold_at, url, image_url, in_stock, recommendable,
    created_at, updated_at)
SELECT sku, title, category, price, currency, sold_at, '', '', true,
    NOT (lower(sku) LIKE ANY (%(services)s)), statement_timestamp(), statement_timestamp()
FROM merge_items ORDER BY sku ON CONFLICT (sku) DO NOTHING
"""
# What the catalog said itself stays; a price of an earlier sale gives way to that of a later one,
# and takes with it a cost that was in another currency.
_ITEMS_REFRESH = """
UPDATE catalog_item AS item SET
    title = coalesce(nullif(item.title, ''), told.title),
    category = coalesce(nullif(item.category, ''), told.category),
    price = CASE WHEN told.newer THEN told.price ELSE item.price END,
    cost = CASE WHEN told.newer AND item.currency NOT IN ('', told.currency) THEN NULL ELSE item.cost END,
    currency = CASE WHEN told.newer THEN told.currency ELSE item.currency END,
    sold_at = CASE WHEN told.newer THEN told.sold_at ELSE item.sold_at END,
    updated_at = statement_timestamp()
FROM (SELECT merge_items.*, merge_items.sold_at IS NOT NULL
          AND ((known.price IS NULL AND known.sold_at IS NULL) OR merge_items.sold_at > known.sold_at) AS newer
      FROM merge_items JOIN catalog_item AS known USING (sku)) AS told
WHERE told.sku = item.sku AND (
    coalesce(told.newer, false) OR (item.title = '' AND told.title <> '')
    OR (item.category = '' AND told.category <> ''))
"""
_ORDERS = (
    "CREATE TEMP TABLE merge_orders ON COMMIT DROP AS"
    " SELECT order_number, NULL::bigint AS order_id, false AS is_new, NULL::bigint AS profile_id,"
    "  max(line) FILTER (WHERE key IS NOT NULL) AS key_line, min(placed_at) AS placed_at,"
    "  bool_or(cancelled) AS cancelled, coalesce(max(country), '') AS country,"
    "  coalesce(max(currency), '') AS currency, min(line) AS line"
    " FROM merge_lines GROUP BY order_number",
    "UPDATE merge_orders AS told SET profile_id = people.profile_id FROM merge_lines AS line, merge_people AS people"
    " WHERE line.line = told.key_line AND people.key = line.key",
    # a known order keeps its customer where the file names none, and once cancelled stays so
    "UPDATE merge_orders AS told SET order_id = known.id, profile_id = coalesce(told.profile_id, known.profile_id),"
    "  cancelled = told.cancelled OR known.status = 'cancelled', placed_at = least(told.placed_at, known.placed_at),"
    "  country = coalesce(nullif(told.country, ''), known.country),"
    "  currency = coalesce(nullif(told.currency, ''), known.currency)"
    " FROM events_order AS known WHERE known.source = %(source)s AND known.external_id = told.order_number",
    "UPDATE merge_orders SET order_id = nextval(pg_get_serial_sequence('events_order', 'id')), is_new = true"
    " WHERE order_id IS NULL",
    "ANALYZE merge_orders",
    "CREATE TEMP TABLE merge_ready ON COMMIT DROP AS"
    " SELECT line.line, told.order_id, told.is_new, item.id AS item_id, line.quantity, line.unit_price,"
    "  told.cancelled, told.profile_id IS NULL AS nobody,"
    "  NOT told.cancelled AND told.profile_id IS NOT NULL AND line.quantity > 0 AND line.unit_price > 0 AS is_purchase"
    " FROM merge_lines AS line JOIN merge_orders AS told USING (order_number) JOIN catalog_item AS item USING (sku)",
    "ANALYZE merge_ready",
    "INSERT INTO events_order (id, source, external_id, profile_id, status, placed_at, country, currency, revenue,"
    "  recorded_at)"
    " SELECT told.order_id, %(source)s, told.order_number, told.profile_id,"
    "  CASE WHEN told.cancelled THEN 'cancelled' WHEN sums.bought THEN 'purchase' ELSE 'other' END,"
    "  told.placed_at, told.country, told.currency, sums.revenue, statement_timestamp()"
    " FROM merge_orders AS told JOIN ("
    "  SELECT order_id, bool_or(is_purchase) AS bought,"
    "   coalesce(sum(quantity * unit_price) FILTER (WHERE is_purchase), 0) AS revenue"
    "  FROM merge_ready WHERE is_new GROUP BY order_id) AS sums USING (order_id)"
    " ORDER BY told.line",
    "INSERT INTO events_orderline (order_id, number, item_id, quantity, unit_price, is_purchase)"
    " SELECT order_id, row_number() OVER (PARTITION BY order_id ORDER BY line), item_id, quantity, unit_price,"
    "  is_purchase"
    " FROM merge_ready WHERE is_new",
)
# Orders known before: of lines that are alike there are then as many as the file or the shop's record had, whichever
# had more. So a file that begins in the middle of an order neither doubles its lines nor takes any away.
_KNOWN_ORDERS_LINES = (
    "CREATE TEMP TABLE merge_have ON COMMIT DROP AS"
    " SELECT line.order_id, line.item_id, line.quantity, line.unit_price, count(*) AS times"
    " FROM events_orderline AS line JOIN merge_orders AS known USING (order_id) WHERE NOT known.is_new"
    " GROUP BY line.order_id, line.item_id, line.quantity, line.unit_price",
    "ANALYZE merge_have",
    "CREATE TEMP TABLE merge_numbers ON COMMIT DROP AS"
    " SELECT line.order_id, max(line.number) AS number"
    " FROM events_orderline AS line JOIN merge_orders AS known USING (order_id) WHERE NOT known.is_new"
    " GROUP BY line.order_id",
    "ANALYZE merge_numbers",
    "INSERT INTO events_orderline (order_id, number, item_id, quantity, unit_price, is_purchase)"
    " SELECT told.order_id, coalesce(last.number, 0)"
    "   + row_number() OVER (PARTITION BY told.order_id ORDER BY told.line),"
    "  told.item_id, told.quantity, told.unit_price, told.is_purchase"
    " FROM (SELECT *, row_number() OVER (PARTITION BY order_id, item_id, quantity, unit_price ORDER BY line) AS nth"
    "       FROM merge_ready WHERE NOT is_new) AS told"
    " LEFT JOIN merge_have AS have ON have.order_id = told.order_id AND have.item_id = told.item_id"
    "  AND have.quantity = told.quantity AND have.unit_price = told.unit_price"
    " LEFT JOIN merge_numbers AS last ON last.order_id = told.order_id"
    " WHERE told.nth > coalesce(have.times, 0)",
)
_KNOWN_ORDERS_GONE = (
    "CREATE TEMP TABLE merge_told ON COMMIT DROP AS"
    " SELECT order_id, item_id, quantity, unit_price, count(*) AS times FROM merge_ready WHERE NOT is_new"
    " GROUP BY order_id, item_id, quantity, unit_price",
    "ANALYZE merge_told",
    "DELETE FROM events_orderline WHERE id IN ("
    " SELECT have.id"
    " FROM (SELECT line.*, row_number() OVER ("
    "         PARTITION BY line.order_id, item_id, quantity, unit_price ORDER BY line.number) AS nth"
    "       FROM events_orderline AS line JOIN merge_orders AS known USING (order_id) WHERE NOT known.is_new) AS have"
    " LEFT JOIN merge_told AS told ON told.order_id = have.order_id AND told.item_id = have.item_id"
    "  AND told.quantity = have.quantity AND told.unit_price = have.unit_price"
    " WHERE have.nth > coalesce(told.times, 0))",
)
_KNOWN_ORDERS = (
    "UPDATE events_orderline AS line SET is_purchase = NOT line.is_purchase FROM merge_orders AS known"
    " WHERE known.order_id = line.order_id AND NOT known.is_new AND line.is_purchase <>"
    "  (NOT known.cancelled AND known.profile_id IS NOT NULL AND line.quantity > 0 AND line.unit_price > 0)",
    "UPDATE events_order AS known SET profile_id = told.profile_id, status = told.status, placed_at = told.placed_at,"
    "  country = told.country, currency = told.currency, revenue = told.revenue, told = NULL"
    " FROM (SELECT told.*, coalesce(sums.revenue, 0) AS revenue, CASE WHEN told.cancelled THEN 'cancelled'"
    "        WHEN sums.bought THEN 'purchase' ELSE 'other' END AS status"
    "       FROM merge_orders AS told LEFT JOIN ("
    "        SELECT line.order_id, bool_or(line.is_purchase) AS bought,"
    "         sum(line.quantity * line.unit_price) FILTER (WHERE line.is_purchase) AS revenue"
    "        FROM events_orderline AS line JOIN merge_orders USING (order_id) WHERE NOT is_new"
    "        GROUP BY line.order_id) AS sums USING (order_id)"
    "       WHERE NOT told.is_new) AS told"
    " WHERE told.order_id = known.id"
    "  AND (known.profile_id, known.status, known.placed_at, known.country, known.currency, known.revenue)"
    "  IS DISTINCT FROM (told.profile_id, told.status, told.placed_at, told.country, told.currency, told.revenue)",
)

_ORDER_FIGURES = """
SELECT count(*) FILTER (WHERE is_purchase) AS purchase_lines, count(*) FILTER (WHERE cancelled) AS cancelled_lines,
    count(*) FILTER (WHERE NOT cancelled AND NOT is_purchase) AS other_lines,
    count(*) FILTER (WHERE nobody) AS lines_without_customer,
    count(DISTINCT order_id) AS orders, count(DISTINCT order_id) FILTER (WHERE is_purchase) AS purchase_orders,
    count(DISTINCT order_id) FILTER (WHERE cancelled) AS cancelled_orders,
    count(DISTINCT item_id) AS items, count(DISTINCT item_id) FILTER (WHERE is_purchase) AS purchased_items
FROM merge_ready
"""
_BUYERS = """
SELECT count(DISTINCT profile_id) FROM merge_orders WHERE order_id IN (
    SELECT order_id FROM merge_ready WHERE is_purchase)
"""
_REVENUE = """
SELECT currency, sum(quantity * unit_price) FROM merge_ready JOIN merge_orders USING (order_id) WHERE is_purchase
GROUP BY currency ORDER BY currency
"""


# fmt: off
_TABLES = (
    "many", "people", "email", "phone", "lines", "sold", "last", "prices", "titles", "skus", "items", "orders", "ready",
    "have", "numbers", "told",
)
# fmt: on


def import_merge(*, import_id: int, mapping: Mapping, key: StagingKey, complete: bool) -> dict[str, Any]:
    """Merge what is staged of an import. Call it in a transaction. Returns figures of the file, not of the changes.

    key: opens what is staged;
    complete: every line of the file was staged; only then are lines taken away that a whole order no longer has.
    """
    terms: dict[str, Any] = {
        "import": import_id,
        "source": mapping.source,
        "services": [_like(pattern) for pattern in mapping.services] or [""],
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        merges_hold(cursor)
        figures = _people_merge(cursor, mapping, key, terms)
        if mapping.kind == "orders":
            figures |= _orders_merge(cursor, mapping, terms, complete)
        # the caller's transaction may hold another merge
        cursor.execute("DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.merge_{table}" for table in _TABLES))
    return figures


def merges_hold(cursor: CursorWrapper) -> None:
    """Until the caller's transaction has ended, let no other import write people down: two that know the same new
    person would make them twice."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('tessera imports merge'))")


def _people_merge(cursor: CursorWrapper, mapping: Mapping, key: StagingKey, terms: dict[str, Any]) -> dict[str, Any]:
    shapes = shapes_read(mapping.attributes, locked=True) if mapping.attributes else {}
    terms["sensitive"] = [name for name, shape in shapes.items() if shape.sensitive]
    for statement in _PEOPLE:
        cursor.execute(statement, terms)
    if mapping.attributes:
        cursor.execute(_ATTRIBUTES, terms)
    cursor.execute("ANALYZE merge_people")
    identifiers_renew(key=key)
    for statement in _FIND:
        cursor.execute(statement, terms)
    for kind in ("email", "phone"):
        cursor.execute(_FIND_BY.format(kind=kind))
        cursor.execute(_NEW_BY.format(kind=kind))
    cursor.execute(_RESTRICTED)
    cursor.execute(_TURNS)
    cursor.execute("ANALYZE merge_people")
    cursor.execute(_PROFILES_ADD, terms)
    cursor.execute("SELECT coalesce(max(turn), 0) FROM merge_people")
    for turn in range(1, cursor.fetchone()[0] + 1):
        cursor.execute(_PROFILES_REFRESH, {"turn": turn})
    for kind, made in (("email", "email_made"), ("phone", "phone_digest IS NULL")):
        for statement in _ADDRESSES:
            cursor.execute(statement.format(kind=kind, made=made))
        cursor.execute(_EARLIER.format(kind=kind), terms)
    identifiers_write(cursor, key=key, source=mapping.source)
    if mapping.attributes:
        sensitive_write(cursor, import_id=terms["import"], key=key, shapes=shapes)
        attributes_seen(list(mapping.attributes), source=mapping.source)
    for kind in ("email", "phone"):
        for statement in _ADDRESSES_MAIN:
            cursor.execute(statement.format(kind=kind))
    cursor.execute(
        "UPDATE imports_stagedperson AS staged SET profile_id = people.profile_id FROM merge_people AS people"
        " WHERE staged.import_id = %(import)s AND staged.key = people.key"
        " AND staged.profile_id IS DISTINCT FROM people.profile_id",
        terms,
    )
    cursor.execute("SELECT count(DISTINCT profile_id) FROM imports_stagedperson WHERE import_id = %(import)s", terms)
    return {"profiles": cursor.fetchone()[0]}


def _orders_merge(cursor: CursorWrapper, mapping: Mapping, terms: dict[str, Any], complete: bool) -> dict[str, Any]:
    cursor.execute(_LINES, terms)
    cursor.execute("ANALYZE merge_lines")
    for statement in _ITEMS:
        cursor.execute(statement, terms)
    cursor.execute(_ITEMS_REFRESH)
    cursor.execute(_ITEMS_ADD, terms)
    for statement in _ORDERS:
        cursor.execute(statement, terms)
    cursor.execute("SELECT EXISTS (SELECT FROM merge_orders WHERE NOT is_new)")
    if cursor.fetchone()[0]:
        gone = _KNOWN_ORDERS_GONE if mapping.whole_orders and complete else ()
        for statement in (*_KNOWN_ORDERS_LINES, *gone, *_KNOWN_ORDERS):
            cursor.execute(statement)
    cursor.execute(_ORDER_FIGURES)
    names = [column.name for column in cursor.description]
    figures: dict[str, Any] = dict(zip(names, cursor.fetchone(), strict=True))
    cursor.execute(_BUYERS)
    figures["buying_customers"] = cursor.fetchone()[0]
    cursor.execute(_REVENUE)
    figures["revenue"] = {currency: str(amount) for currency, amount in cursor.fetchall()}
    return figures


def _like(pattern: str) -> str:
    """A pattern with `*` as one for LIKE, in small letters."""
    escaped = pattern.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
