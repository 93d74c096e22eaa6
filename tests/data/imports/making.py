"""Files and imports for the tests of imports."""

from pathlib import Path
from typing import Any

from apps.data.imports.models import Import
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import Grant, import_open, import_run

SHOPIFY_ORDERS = """\
Name,Email,Financial Status,Paid at,Currency,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,\
Billing Name,Billing Country,Shipping Country,Cancelled at,Phone,Accepts Marketing
#1001,anna.berg@example.com,paid,2024-03-01 09:12:00 +0100,EUR,2024-03-01 09:11:58 +0100,2,Mug blue,9.50,MUG-B,\
Anna Maria Berg,DE,AT,,,yes
#1001,anna.berg@example.com,,,,2024-03-01 09:11:58 +0100,1,Tea,4.00,,,,,,,
#1002,bo@example.com,refunded,,EUR,2024-03-02 10:00:00 +0100,1,Mug blue,9.50,MUG-B,Bo,SE,SE,\
2024-03-03 08:00:00 +0100,,no
#1003,anna.berg@example.com,paid,,EUR,2024-04-01 12:00:00 +0200,1,Gift card 20,20.00,,Anna Berg,DE,DE,,,yes
"""
SHOPIFY_CUSTOMERS = """\
Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address City,Default Address Country Code,Phone,\
Accepts SMS Marketing,Total Spent,Total Orders,Tags
'7001,Anna,Berg,Anna.Berg@Example.com,yes,Wien,AT,'+436601234567,no,43.00,2,"vip, tea"
'7002,Bo,,bo@example.com,no,,SE,,no,0.00,0,
'7003,{{7*7}},=?utf-8?q?x=0D=0ABcc=3Aa@b?=,,yes,,DE,,no,0.00,0,
"""
MAILCHIMP = (
    """\
"Email Address","First Name","Last Name",Address,"Phone Number",Birthday,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,\
CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS
anna.berg@example.com,Anna,Berg,,,,2,"2019-03-04 12:33:01",,"2019-03-04 12:34:10",192.0.2.1,,,1,2,europe/vienna,AT,9,\
"2023-01-01 00:00:00",12345,a1b2c3d4e5,,"""
    + '"""tea"",""news"""'
    + """
carla@example.com,Carla,,,,,3,,,,,,,,,,IT,,"2023-01-01 00:00:00",12346,f6a7b8c9d0,,
"""
)


def write(path: Path, text: str | bytes) -> Path:
    """A file with this content."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def run(
    path: Path,
    preset: str = "shopify",
    kind: str = "orders",
    *,
    grant: Grant | None = None,
    again: bool = False,
    **settings: Any,
) -> Import:
    """Import a file from beginning to end."""
    mapping = preset_mapping(preset, kind=kind, **settings)
    return import_run(import_id=import_open(kind=kind, path=path, mapping=mapping, grant=grant, again=again).pk)


def errors_of(job: Import) -> list[str]:
    """The lines of the errors file, without its header."""
    return Path(job.errors_path).read_text(encoding="utf-8").splitlines()[1:]
