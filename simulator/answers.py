"""The answer to a prompt: a pure function of seed, model, prompt, attempt and length."""

import random
import re
from itertools import cycle, islice

from simulator.prompt import Prompt
from simulator.prose import pieces

_WORD_PIECES = re.compile(r" ?\w{1,6}| ?[^\w\s]|\s+")
# Every word is one token, so that any number of them can fill what a sentence does not fit.
_REFRAIN = (
    " so it goes on and on as one small step leads to the next until the work is done"
    " and all that is left to do is to rest"
)
_LEAST_ENDING = 3


def tokenize(text: str) -> list[str]:
    """Split into word pieces whose concatenation is exactly `text`."""
    return _WORD_PIECES.findall(text)


def count_tokens(prompt: Prompt) -> int:
    texts = [prompt.system or "", *(turn.text for turn in prompt.turns)]
    return sum(len(tokenize(text)) for text in texts)


def quotation(prompt: Prompt, *, quote_system: bool) -> str:
    """Every user message word for word, oldest first; before them the system text if asked."""
    quotes = []
    if quote_system and prompt.system:
        quotes.append(f'My instructions: "{prompt.system}"')
    for index, message in enumerate(prompt.user_messages):
        quotes.append(f'{"Then" if index else "You said"}: "{message}"')
    return " ".join(quotes)


def _ending(length: int) -> list[str]:
    words = list(islice(cycle(tokenize(_REFRAIN)), length - 1))
    if words:
        words[0] = words[0].title()
    return [*words, "."]


def _fill(length: int, chance: random.Random) -> list[str]:
    """Prose of exactly `length` tokens."""
    tokens: list[str] = []
    for piece in pieces(chance):
        remaining = length - len(tokens)
        if remaining <= 0:
            break
        found = tokenize(piece)
        ends_here = len(found) == remaining and found[-1] == "."
        if not ends_here and len(found) > remaining - _LEAST_ENDING:
            return tokens + _ending(remaining)
        tokens += found
    return tokens


def answer(
    prompt: Prompt, *, seed: int, model: str, attempt: int, length: int, quote_system: bool
) -> list[str]:
    """Tokens that answer the prompt: the quotation whole, then prose up to `length` tokens.

    A prefill that begins the full answer is continued exactly where it ends; any other
    prefill is followed by prose.
    """
    asked = prompt.without_prefill()
    chance = random.Random(f"{seed}\x1f{model}\x1f{attempt}\x1f{asked.fingerprint}")  # noqa: S311 - reproducible, not secret
    tokens = tokenize(quotation(asked, quote_system=quote_system))
    tokens += _fill(length - len(tokens), chance)
    if prompt.prefill is None:
        return tokens
    full = "".join(tokens)
    if full.startswith(prompt.prefill):
        return tokenize(full[len(prompt.prefill) :])
    return _fill(max(length - len(tokenize(prompt.prefill)), _LEAST_ENDING), chance)
