"""The plain agent: a persona before a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actors.calls import ask
from actors.core.completion import CompletionRequest
from actors.core.errors import ParleyError
from actors.core.events import RunStarted, encode
from actors.core.messages import Turn
from actors.core.runs import Outcome, Production
from actors.core.transcripts import system_prompt, turns, window

if TYPE_CHECKING:
    from actors.core.messages import Context
    from actors.core.runs import AnswerRequest
    from config.settings import Agent as AgentSettings


class Agent:
    """Answers a context's last message with its provider's client pool.

    A behaviour of its own is a subclass in a file of its own, named by `class:` in the agent's
    entry; `system` and `request` are what it overrides.
    """

    def __init__(self, name: str, settings: AgentSettings, client_pool: Any) -> None:
        self.name = name
        self.settings = settings
        self._client_pool = client_pool

    def system(self, context: Context) -> str:
        """The system prompt: always kept, however long the conversation."""
        return system_prompt(self.settings.persona, context)

    def request(self, context: Context, so_far: str = "") -> CompletionRequest:
        """What the model is asked; `so_far` is a beginning of the answer to go on from.

        Raises:
            ContextLengthExceeded: the last message does not fit the model's window.
        """
        system = self.system(context)
        said = turns(context.messages)
        if so_far:
            said = (*said, Turn(role="assistant", text=so_far))
        return CompletionRequest(
            model=self.settings.model,
            system=system,
            turns=window(
                system,
                said,
                context_window=self.settings.context_window,
                max_output_tokens=self.settings.parameters.max_output_tokens,
            ),
            parameters=self.settings.parameters,
        )

    async def answer(self, request: AnswerRequest) -> Outcome:
        """What came of the attempt; its text is in the run's log."""
        so_far = request.progress.text if self.settings.can_prefill else ""
        try:
            completion = self.request(request.context, so_far)
        except ParleyError as error:
            outcome = Outcome(state="failed", deltas=request.progress.deltas, error=error.as_json())
        else:
            production = self._production(request, completion, continues=bool(so_far))
            outcome = await ask(self._client_pool, "produce", production)
        return replace(outcome, agent=self.name, model=self.settings.model)

    def _production(
        self, request: AnswerRequest, completion: CompletionRequest, *, continues: bool
    ) -> Production:
        started = RunStarted(
            conversation=request.conversation,
            run=request.run,
            agent=self.name,
            model=self.settings.model,
            reply_to=request.context.messages[-1].id,
        )
        return Production(
            run=request.run,
            epoch=request.epoch,
            conversation=request.conversation,
            generation=request.generation,
            progress=request.progress,
            started=encode(started),
            continues=continues,
            request=completion,
            timeout_s=self.settings.timeout_s,
            first_token_timeout_s=self.settings.first_token_timeout_s,
            idle_timeout_s=self.settings.idle_timeout_s,
        )
