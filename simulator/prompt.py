"""What a request asks of a model, whatever wire it came over."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """System text and turns, oldest first. A last turn of the assistant is a prefill."""

    system: str | None
    turns: tuple[Turn, ...]

    @property
    def user_messages(self) -> tuple[str, ...]:
        return tuple(turn.text for turn in self.turns if turn.role == "user")

    @property
    def prefill(self) -> str | None:
        if self.turns and self.turns[-1].role == "assistant":
            return self.turns[-1].text
        return None

    def without_prefill(self) -> "Prompt":
        if self.prefill is None:
            return self
        return Prompt(system=self.system, turns=self.turns[:-1])

    @property
    def fingerprint(self) -> str:
        """Equal for equal prompts only."""
        turns = [(turn.role, turn.text) for turn in self.turns]
        return repr((self.system, turns))
