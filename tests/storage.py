"""Looking into what is really stored."""

from django.db import connection
from psycopg2 import sql


def found_in_tables(*texts: str) -> dict[str, int]:
    """In which tables of the database any of the texts stands, plainly or in bytes, in whatever case: rows by table."""
    spellings = [f"%{form}%" for text in texts for form in (text.lower(), text.encode().hex())]
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            count = sql.SQL("SELECT count(*) FROM {0} WHERE lower({0}::text) LIKE ANY (%s)").format(
                sql.Identifier(table)
            )
            cursor.execute(count.as_string(cursor.cursor.connection), [spellings])
            if rows := cursor.fetchone()[0]:
                found[table] = rows
    return found
