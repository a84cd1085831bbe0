"""The seam between agents and providers: a request, the chunks of its answer, its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.core.messages import Turn
    from config.settings import Parameters

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as the provider counts them."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """What a model is asked. `turns` alternate freely; an assistant's last turn is a prefill."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The provider's own word that the answer is whole."""

    reason: FinishReason
    usage: Usage


Chunk = TextChunk | Finish


class Provider(Protocol):
    """A provider's API over one long-lived SDK client."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """The answer as it is produced: text chunks (never empty), then exactly one `Finish`.

        Closing the generator, or cancelling its consumer, closes the provider's stream.
        A chunk without text (a role, a keep-alive) yields nothing.

        Raises:
            ProviderError: or a subclass of it; `Truncated` where the stream ends without an end.
        """
        ...

    async def aclose(self) -> None:
        """Closes the SDK client and its connections."""
        ...
