"""Readable filler: endless plausible text with a little markdown, from a random source."""

import random
from collections.abc import Iterator

_SUBJECTS = (
    "a small test",
    "the first draft",
    "a careful plan",
    "the slow path",
    "an honest number",
    "the simplest design",
    "a short answer",
    "the next step",
    "a quiet afternoon",
    "the whole picture",
    "a second opinion",
    "the oldest question",
)
_VERBS = (
    "shows",
    "explains",
    "changes",
    "supports",
    "keeps",
    "reveals",
    "protects",
    "follows",
    "balances",
    "improves",
)
_OBJECTS = (
    "what people really need",
    "the shape of the problem",
    "how the parts fit together",
    "the cost of waiting",
    "a promise made earlier",
    "more than it seems",
    "the work that remains",
    "where the time goes",
    "a habit worth having",
    "the reason behind the rule",
)
_CONDITIONS = (
    "when the details are clear",
    "once the noise is gone",
    "if nobody is in a hurry",
    "as soon as it is measured",
    "even on a busy day",
    "before the next decision",
    "after a good night of sleep",
    "while the context is fresh",
)
_LINKS = ("In practice", "Most of the time", "Seen from here", "To begin with", "Above all")
_CODE = ("cursor", "retry_after", "timeout_s", "sha256", "index", "payload", "epoch")
_ITEMS = (
    "Start with what is known",
    "Write down the goal",
    "Measure before changing anything",
    "Keep the steps small",
    "Ask what could go wrong",
    "Share the result early",
    "Leave the place tidy",
    "Name things plainly",
)
_LEADS = ("A few things help:", "It comes down to this:", "In short:")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _sentence(chance: random.Random) -> str:
    subject, verb = chance.choice(_SUBJECTS), chance.choice(_VERBS)
    claim = f"{subject} {verb} {chance.choice(_OBJECTS)}"
    match chance.randrange(5):
        case 0:
            return f"{_capital(claim)}."
        case 1:
            return f"{_capital(claim)} {chance.choice(_CONDITIONS)}."
        case 2:
            return f"{chance.choice(_LINKS)}, {claim}."
        case 3:
            return f"{_capital(chance.choice(_CONDITIONS))}, {claim}."
        case _:
            return f"Here `{chance.choice(_CODE)}` matters: {claim}."


def pieces(chance: random.Random) -> Iterator[str]:
    """Endless pieces of text; joined as they are, they read as paragraphs and lists."""
    separator = "\n\n"
    while True:
        for _ in range(chance.randint(3, 5)):
            yield separator + _sentence(chance)
            separator = " "
        separator = "\n\n"
        if chance.random() < 0.3:
            yield separator + chance.choice(_LEADS)
            for mark, item in zip(
                ("\n\n- ", "\n- ", "\n- "), chance.sample(_ITEMS, 3), strict=True
            ):
                yield f"{mark}{item}."
