"""Errors as HTTP answers, in OpenAI's shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from actors.core.errors import Internal, InvalidRequest, NotFound, ParleyError, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

log = structlog.get_logger()

_MAX_PARAM_CHARS = 200


def refusal(
    error: ParleyError,
    status: int | None = None,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer to an error; `status` where it is another than the error's own."""
    status = status or error.http_status
    kind = "invalid_request_error" if status < 500 else "server_error"
    sent = dict(headers or {})
    if error.retry_after_s is not None:
        sent["Retry-After"] = str(math.ceil(error.retry_after_s))
    if status == 401:
        sent["WWW-Authenticate"] = "Bearer"
    body = {"type": kind, "param": param, **error.as_json()}
    return JSONResponse({"error": body}, status, headers=sent)


def install(app: FastAPI) -> None:
    """Has every error of the application answered so."""
    app.add_exception_handler(ParleyError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(HTTPException, _refuse_unrouted)
    app.add_exception_handler(Exception, _refuse_unexpected)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return refusal(error if isinstance(error, ParleyError) else Internal())


async def _refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """The first thing wrong, in one sentence that names the field."""
    details = error.errors() if isinstance(error, RequestValidationError) else []
    if not details:
        return refusal(InvalidRequest())
    first = details[0]
    if first["type"] == "json_invalid":
        return refusal(InvalidRequest("The body is not JSON."))
    where = ".".join(str(part) for part in first["loc"][1:])
    # A field's name is the caller's: it may hold what UTF-8 does not take.
    param = where.encode("ascii", "backslashreplace").decode()[:_MAX_PARAM_CHARS] or None
    what = first["msg"].removeprefix("Value error, ")
    return refusal(InvalidRequest(f"{param or 'The body'}: {what}."), param=param)


async def _refuse_unrouted(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    return refusal(_unrouted(status), status, headers=headers)


def _unrouted(status: int) -> ParleyError:
    match status:
        case 404:
            return NotFound("There is nothing at this path.")
        case 405:
            return InvalidRequest("The method is not allowed at this path.")
        case 413:
            return TooLarge("The body is too big.")
        case _ if status < 500:
            return InvalidRequest("The body cannot be read.")
        case _:
            return Internal()


async def _refuse_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return refusal(Internal())
