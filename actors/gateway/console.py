"""The web console: the page at `/`, its files, and what it needs to know of the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Scope

    from actors.gateway.services import Services

WEB = Path(__file__).parents[2] / "web"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    """Static files under the page's headers."""

    async def get_response(self, path: str, scope: Scope) -> Any:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI, services: Services) -> None:
    """Adds the page's routes to the application."""
    pages = APIRouter(tags=["console"])

    @pages.get("/", response_class=HTMLResponse)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html", headers=HEADERS)

    @pages.get("/console/config.json")
    async def config() -> JSONResponse:
        settings = services.settings
        key = settings.auth.bootstrap_key
        offered = settings.environment == "development" and key is not None
        return JSONResponse(
            {
                "environment": settings.environment,
                "development_key": key.get_secret_value() if offered and key else None,
            },
            headers=HEADERS,
        )

    app.include_router(pages)
    app.mount("/static", _Files(directory=WEB))
