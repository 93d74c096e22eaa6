"""How the admin looks: name, colours, styles, and where its first page and its sidebar come from."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static


def _static(path: str) -> Any:
    """The address of a static file, found when a page is made: the manifest is not there before."""

    def address(request: HttpRequest) -> str:
        return static(path)

    return address


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tessera",
    "SITE_HEADER": "Tessera",
    "SITE_SUBHEADER": "Messages for each person",
    "SITE_URL": "",
    "SITE_ICON": _static("tessera/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _static("tessera/mark.svg")}],
    "STYLES": [_static("tessera/admin.css")],
    "SCRIPTS": [_static("tessera/live.js")],
    "DASHBOARD_CALLBACK": "apps.surfaces.console.dashboard.dashboard",
    "SIDEBAR": {"navigation": "apps.surfaces.console.navigation.sidebar"},
    "BORDER_RADIUS": "8px",
    # Primary 600 carries text on white and white text on it: at least 4.5 : 1 both ways.
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#0d3b38",
            "950": "#042f2e",
        },
    },
}
