"""The baseline: what one would write in an afternoon. One process; `python -m bench.baseline`.

It speaks Parley's frames, so that one load generator serves both: hello, send; welcome, accepted,
delta, run.completed, error. It commits both messages to Postgres, keeps the context in Redis and
streams each chunk of the SDK. It has no resume, no second device, no failover, no takeover,
no back-pressure, no tenants.
"""

from __future__ import annotations

import argparse
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from openai import AsyncOpenAI, DefaultAioHttpClient
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS messages_of_conversation ON messages (conversation_id, created_at);
"""
_INSERT = "INSERT INTO messages (id, conversation_id, role, text) VALUES (%s, %s, %s, %s)"
_CONTEXT_TTL_S = 3600

Message = dict[str, str]


class Chats:
    """The messages: for good in Postgres, the context in Redis."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]], redis: Redis) -> None:
        self._pool = pool
        self._redis = redis

    async def create_tables(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SCHEMA)

    async def add(self, conversation: str, role: str, text: str) -> str:
        """Committed, and in the context, when it returns; answers the message's id."""
        message = str(uuid4())
        async with self._pool.connection() as connection:
            await connection.execute(_INSERT, (message, conversation, role, text))
        key = f"context:{conversation}"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.rpush(key, orjson.dumps({"role": role, "content": text}))
        pipeline.expire(key, _CONTEXT_TTL_S)
        await pipeline.execute()
        return message

    async def context(self, conversation: str) -> list[Message]:
        held = await self._redis.lrange(f"context:{conversation}", 0, -1)
        return [orjson.loads(each) for each in held]


class Session:
    """One socket."""

    def __init__(self, socket: WebSocket, chats: Chats, client: AsyncOpenAI, model: str) -> None:
        self._socket = socket
        self._chats = chats
        self._client = client
        self._model = model

    async def serve(self, key: str) -> None:
        await self._socket.accept(subprotocol="parley.v1")
        hello = await self._socket.receive_json()
        if hello.get("type") != "hello" or hello.get("token") != key:
            await self._socket.close(4401)
            return
        await self._socket.send_json({"type": "welcome", "agents": []})
        while True:
            frame = await self._socket.receive_json()
            if frame["type"] != "send":
                continue
            try:
                await self._answer(frame)
            except Exception as error:  # noqa: BLE001 - the socket outlives a failed answer
                await self._socket.send_json({"type": "error", "error": {"message": str(error)}})

    async def _answer(self, frame: dict[str, Any]) -> None:
        conversation = frame.get("conversation") or str(uuid4())
        message = await self._chats.add(conversation, "user", frame["text"])
        run = str(uuid4())
        named = {"conversation": conversation, "run": run}
        await self._socket.send_json(
            {"type": "accepted", "id": frame["id"], "message": message, **named}
        )
        pieces: list[str] = []
        async for text in self._stream(await self._chats.context(conversation)):
            delta = {"type": "delta", **named, "index": len(pieces), "text": text}
            await self._socket.send_json(delta)
            pieces.append(text)
        answer = "".join(pieces)
        message = await self._chats.add(conversation, "assistant", answer)
        ended = {"message": message, "deltas": len(pieces)}
        sha256 = hashlib.sha256(answer.encode()).hexdigest()
        await self._socket.send_json({"type": "run.completed", **named, **ended, "sha256": sha256})

    async def _stream(self, messages: list[Any]) -> AsyncGenerator[str, None]:
        stream = await self._client.chat.completions.create(
            model=self._model, messages=messages, stream=True
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def application(options: argparse.Namespace) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        transport = DefaultAioHttpClient() if options.transport == "aiohttp" else None
        async with (
            AsyncConnectionPool(
                options.database_url, min_size=4, max_size=20, kwargs={"autocommit": True}
            ) as pool,
            Redis.from_url(options.redis_url) as redis,
            AsyncOpenAI(
                base_url=options.provider_url, api_key="simulated", http_client=transport
            ) as client,
        ):
            app.state.client, app.state.chats = client, Chats(pool, redis)
            await app.state.chats.create_tables()
            yield

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/v1/ws")
    async def converse(socket: WebSocket) -> None:
        session = Session(socket, app.state.chats, app.state.client, options.model)
        try:
            await session.serve(options.key)
        except WebSocketDisconnect:
            return

    return app


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.baseline")
    parser.add_argument("--port", type=int, required=True)
    for name in ("database-url", "redis-url", "provider-url", "model", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--transport", choices=("httpx", "aiohttp"), default="httpx")
    return parser.parse_args()


def main() -> None:
    options = _options()
    app = application(options)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
