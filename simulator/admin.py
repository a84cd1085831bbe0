"""The simulator's own interface under /_sim: behaviours, records, counts."""

import time
from typing import Any

import orjson
from aiohttp.web import BaseRequest, Response

from simulator.behaviour import BehaviourBook, BehaviourError, parse_setting
from simulator.journal import Journal


def _json(value: Any, status: int = 200) -> Response:
    return Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _error(status: int, message: str) -> Response:
    return _json({"error": {"message": message}}, status)


class Admin:
    """PUT, DELETE /_sim/models/{model}; GET /_sim/models, /_sim/requests, /_sim/stats;
    POST /_sim/reset.
    """

    def __init__(self, book: BehaviourBook, journal: Journal) -> None:
        self._book = book
        self._journal = journal

    async def handle(self, http: BaseRequest, path: str) -> Response:
        """`path` is what follows /_sim/."""
        if path.startswith("models/"):
            return await self._model(http, path.removeprefix("models/"))
        match http.method, path:
            case "GET", "models":
                return _json(
                    {name: each.model_dump() for name, each in self._book.settings.items()}
                )
            case "GET", "requests":
                return self._requests(http)
            case "GET", "stats":
                return _json({**self._journal.as_json(), "cpu_s": time.process_time()})
            case "POST", "reset":
                self._book.clear()
                self._journal.clear()
                return Response(status=204)
            case _:
                return _error(404, f"Unknown route: {http.method} /_sim/{path}")

    async def _model(self, http: BaseRequest, name: str) -> Response:
        if http.method == "DELETE":
            known = self._book.remove(name)
            return Response(status=204) if known else _error(404, f"Nothing is set for {name}.")
        if http.method != "PUT":
            return _error(405, "Use PUT or DELETE.")
        try:
            setting = parse_setting(orjson.loads(await http.read()))
        except orjson.JSONDecodeError as error:
            return _error(400, f"Not JSON: {error}")
        except BehaviourError as error:
            return _error(400, str(error))
        self._book.put(name, setting)
        return _json(setting.model_dump())

    def _requests(self, http: BaseRequest) -> Response:
        """The newest `limit` records, oldest first, of `provider` and `model` if given."""
        query = http.rel_url.query
        wanted = {key: query[key] for key in ("provider", "model") if key in query}
        limit = query.get("limit", "1000000000")
        if not limit.isdecimal():
            return _error(400, "limit is a number")
        found = [
            record.as_json()
            for record in self._journal.records
            if all(getattr(record, key) == value for key, value in wanted.items())
        ]
        return _json({"data": found[max(len(found) - int(limit), 0) :]})
