"""What an agent is given of a conversation, and what it tells a model of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from actors.core.errors import ContextLengthExceeded
from actors.core.messages import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.core.messages import Context, Message

TOKENS_A_TURN = 8
MAX_ANSWER_RESERVE = 4096


def up_to(messages: Sequence[Message], message_id: str) -> tuple[Message, ...]:
    """The conversation as the answer to a message may know it, that message last.

    Earlier questions stand with their answers, in the order of the questions: an answer that was
    committed while later questions already waited belongs before them.
    """
    answers = {m.reply_to: m for m in messages if m.role == "assistant"}
    seen: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            continue
        seen.append(message)
        if message.id == message_id:
            return tuple(seen)
        if message.id in answers:
            seen.append(answers[message.id])
    return tuple(seen)


def system_prompt(persona: str, context: Context) -> str:
    """The persona, then what is known of the user and of the conversation's older part."""
    parts = [persona.strip()]
    if context.profile:
        profile = orjson.dumps(context.profile).decode()
        parts.append(f"The user's profile, as they gave it: {profile}")
    if context.summary:
        parts.append(f"Earlier in this conversation: {context.summary}")
    return "\n\n".join(part for part in parts if part)


def turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    return tuple(
        Turn(role="assistant" if m.role == "assistant" else "user", text=m.text)
        for m in messages
        if m.role != "system" and m.text
    )


def estimate_tokens(text: str) -> int:
    """A conservative count where no tokenizer works offline: a token per three UTF-8 bytes.

    English needs one per four, Chinese and Japanese about one per character of three bytes.
    """
    return -(-len(text.encode()) // 3)


def window(
    system: str, history: Sequence[Turn], *, context_window: int, max_output_tokens: int | None
) -> tuple[Turn, ...]:
    """The newest turns that fit beside the system prompt and the answer.

    The message to answer is always among them, and so is a prefill after it.

    Raises:
        ContextLengthExceeded: the system prompt and those alone do not fit.
    """
    reserve = max_output_tokens or min(context_window // 4, MAX_ANSWER_RESERVE)
    room = context_window - reserve - estimate_tokens(system) - TOKENS_A_TURN
    kept = 0
    for turn in reversed(history):
        room -= estimate_tokens(turn.text) + TOKENS_A_TURN
        if room < 0:
            break
        kept += 1
    needed = 2 if len(history) > 1 and history[-1].role == "assistant" else 1
    if history and kept < needed:
        raise ContextLengthExceeded("The message is longer than the model can read.")
    newest = list(history[len(history) - kept :])
    while len(newest) > 1 and newest[0].role == "assistant":
        newest.pop(0)
    return tuple(newest)
