"""OpenAI's Responses wire: requests, typed events.

Shapes: https://platform.openai.com/docs/api-reference/responses and /responses-streaming.
"""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from simulator.openai_wire import Content, OpenAIWire, error_object, prompt_of
from simulator.wire import (
    Encoder,
    Finish,
    GenerationRequest,
    Identity,
    Problem,
    Usage,
    dump,
    read_body,
)

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class _Item(BaseModel):
    role: str = ""
    content: Content = None


class _ResponsesBody(BaseModel):
    model: str
    input: Annotated[str | list[_Item], Field(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int | None, Field(ge=1)] = None


class ResponsesEncoder:
    """Events and bodies of one response with one message of one text part."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._item_id = f"msg_{identity.number}"
        self._place = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        self._sequence = 0
        event = dump(
            {
                "type": "response.output_text.delta",
                **self._place,
                "logprobs": [],
            }
        )
        self._head = b"event: response.output_text.delta\ndata: " + event[:-1]

    def opening(self) -> bytes:
        begun = self._response("in_progress")
        return b"".join(
            [
                self._event("response.created", {"response": begun}),
                self._event("response.in_progress", {"response": begun}),
                self._event(
                    "response.output_item.added",
                    {"output_index": 0, "item": self._item("in_progress", [])},
                ),
                self._event("response.content_part.added", {**self._place, "part": _part("")}),
            ]
        )

    def token(self, text: str) -> bytes:
        self._sequence += 1
        return b'%b,"sequence_number":%d,"delta":%b}\n\n' % (
            self._head,
            self._sequence - 1,
            dump(text),
        )

    def closing(self, text: str, finish: Finish, usage: Usage) -> bytes:
        done = self._finished(text, finish, usage)
        return b"".join(
            [
                self._event(
                    "response.output_text.done", {**self._place, "text": text, "logprobs": []}
                ),
                self._event("response.content_part.done", {**self._place, "part": _part(text)}),
                self._event(
                    "response.output_item.done", {"output_index": 0, "item": done["output"][0]}
                ),
                self._event(f"response.{done['status']}", {"response": done}),
            ]
        )

    def failure(self, problem: Problem) -> bytes:
        shown = error_object(problem)
        error = {key: shown[key] for key in ("code", "message", "param")}
        code = shown["code"] or "server_error"
        failed = self._response("failed", error={"code": code, "message": problem.message})
        return self._event("error", error) + self._event("response.failed", {"response": failed})

    def whole(self, text: str, finish: Finish | None, usage: Usage) -> bytes:
        if finish is None:
            item = self._item("in_progress", [_part(text)])
            return dump(self._response("in_progress", output=[item]))
        return dump(self._finished(text, finish, usage))

    def _finished(self, text: str, finish: Finish, usage: Usage) -> dict[str, Any]:
        reason = _INCOMPLETE.get(finish)
        status = "incomplete" if reason else "completed"
        return self._response(
            status,
            output=[self._item(status, [_part(text)])],
            incomplete_details={"reason": reason} if reason else None,
            usage=_usage(usage),
        )

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        data = dump({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._item_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": f"resp_{self._identity.number}",
            "object": "response",
            "created_at": self._identity.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._identity.model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None,
            **fields,
        }


class ResponsesWire(OpenAIWire):
    name = "openai.responses"

    def encoder(self, identity: Identity) -> Encoder:
        return ResponsesEncoder(identity)

    def read(self, raw: bytes) -> GenerationRequest:
        """Raises ProblemError."""
        body = read_body(self, _ResponsesBody, raw)
        items = (
            [_Item(role="user", content=body.input)] if isinstance(body.input, str) else body.input
        )
        return GenerationRequest(
            model=body.model,
            prompt=prompt_of([(item.role, item.content) for item in items], body.instructions),
            stream=bool(body.stream),
            max_tokens=body.max_output_tokens,
            include_usage=True,
        )


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
