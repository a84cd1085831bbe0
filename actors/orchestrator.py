"""The orchestrator owns runs: it begins them, asks agents, and commits what came of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from uuid_utils import uuid7

from actors.background import Background, forever
from actors.calls import ask
from actors.core.errors import Internal, ParleyError, Unavailable
from actors.core.routing import choose
from actors.core.runs import LEASE_S, AnswerRequest, Outcome, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.core.runs import Finished, RunStart
    from config.settings import Settings

log = structlog.get_logger()

_TEND_S = 0.75
_CLAIMS_A_SWEEP = 20
_MAX_EPOCHS = 5
"""A run that brought down so many owners is ended as failed."""


class Orchestrator:
    """Owns runs by lease: whatever happens to a caller, a run goes on here or is let go."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, context: Any, agents: Mapping[str, Any]
    ) -> None:
        self._settings = settings
        self._context = context
        self._agents = agents
        self._owner = str(uuid7())
        self._held: dict[tuple[str, int], asyncio.Task[Outcome]] = {}
        self._stopping: set[tuple[str, int]] = set()
        self._sweep_from = 0.0
        self._resources = AsyncExitStack()
        self._background = await self._resources.enter_async_context(Background())
        self._background.start(
            forever(self._tend, interval_s=_TEND_S, what="tend runs"), name="tend"
        )

    async def __del__(self) -> None:
        held = list(self._held)
        await self._resources.aclose()
        if held:
            await ask(self._context, "release", held)

    async def run(self, run: str) -> None:
        """Sees a run through to its end, and the runs that waited for it.

        The run is the replica's: the caller may go away.
        """
        await asyncio.shield(self._background.start(self._run(run), name=f"run {run}"))

    async def take_over(self, run: str) -> None:
        """As `run`, for a run whose owner is noticed to be gone."""
        await asyncio.shield(self._background.start(self._seize(run), name=f"run {run}"))

    async def _run(self, run: str | None) -> None:
        while run is not None:
            start: RunStart | None = await ask(self._context, "begin", run, self._owner)
            run = None if start is None else await self._see_through(start)

    async def _seize(self, run: str) -> None:
        start: RunStart | None = await ask(self._context, "seize", run, self._owner, None)
        if start is not None:
            await self._run(await self._see_through(start))

    async def _see_through(self, start: RunStart) -> str | None:
        """Answers the conversation's run that may begin next."""
        held: RunStart | None = start
        while held is not None:
            start = held
            try:
                outcome = await self._produce(start)
                finished: Finished | None = await ask(self._context, "finish", start, outcome)
            except Unavailable as error:
                log.warning("run begun anew", run=start.run, epoch=start.epoch, error=str(error))
                held = await self._renewed(start)
            except ParleyError as error:
                log.warning("run let go", run=start.run, epoch=start.epoch, error=str(error))
                await self._let_go(start)
                return None
            else:
                return finished.next_run if finished else None
        return None

    async def _produce(self, start: RunStart) -> Outcome:
        """The outcome, while the lease is kept.

        Raises:
            Unavailable: a box died, or the run was told to stop and nobody who produces it hears.
        """
        key = (start.run, start.epoch)
        task = self._background.start(self._outcome(start), name=f"produce {start.run}")
        self._held[key] = task
        try:
            await asyncio.wait([task])
        finally:
            del self._held[key]
            self._stopping.discard(key)
        if task.cancelled():
            raise Unavailable("The run is to stop, and waits for a session.")
        return task.result()

    async def _renewed(self, start: RunStart) -> RunStart | None:
        """The same run in a new epoch: whoever was producing it is gone, or fenced by this."""
        try:
            renewed: RunStart | None = await ask(
                self._context, "seize", start.run, self._owner, start.epoch
            )
        except ParleyError as error:
            log.warning("run let go", run=start.run, epoch=start.epoch, error=str(error))
            return None
        return renewed

    async def _let_go(self, start: RunStart) -> None:
        """Should even that fail, the lease runs out."""
        with suppress(ParleyError):
            await ask(self._context, "release", [(start.run, start.epoch)])

    async def _outcome(self, start: RunStart) -> Outcome:
        told = start.progress.deltas
        if start.stopping:
            return Outcome(state="stopped", deltas=told)
        if start.epoch > _MAX_EPOCHS:
            error = Internal("The answer could not be produced.").as_json()
            return Outcome(state="failed", deltas=told, error=error)
        route = choose(
            requested=start.requested_agent,
            sticky=start.sticky_agent,
            default=self._settings.routing.default,
            agents=self._settings.agents,
        )
        log.info("routed", run=start.run, agent=route.agents[0], reason=route.reason)
        return await self._ask_in_turn(start, route.agents)

    async def _ask_in_turn(self, start: RunStart, agents: tuple[str, ...]) -> Outcome:
        """The first agent's answer that does not fail for its provider's sake, or the last's."""
        progress = start.progress
        for attempt, name in enumerate(agents, start=1):
            request = AnswerRequest(
                run=start.run,
                epoch=start.epoch,
                conversation=start.conversation,
                generation=start.generation,
                progress=progress,
                context=start.context,
            )
            outcome: Outcome = await ask(self._agents[name], "answer", request)
            outcome = replace(outcome, attempts=attempt)
            error = outcome.error or {}
            if outcome.state != "failed" or not error.get("retryable") or attempt == len(agents):
                break
            log.warning("agent failed", run=start.run, agent=name, error=error)
            progress = Progress(started=True, deltas=outcome.deltas)
        return outcome

    async def _tend(self) -> None:
        """Keeps what is held here, then takes over what others let go.

        Where leases could not be renewed, nobody could: others get one lease's time to do so.
        """
        loop = asyncio.get_running_loop()
        try:
            await self._renew()
        except ParleyError:
            self._sweep_from = loop.time() + LEASE_S
            raise
        if loop.time() >= self._sweep_from:
            await self._sweep()

    async def _renew(self) -> None:
        """A run that is still to be stopped at the second look waits where no stop is heard.

        Asked for no leases too: that it fails says that others' cannot be renewed either.
        """
        held = dict(self._held)
        stopping: dict[str, bool] = await ask(self._context, "renew", list(held))
        for key, task in held.items():
            if not stopping.get(key[0]):
                continue
            if key in self._stopping:
                task.cancel()
            self._stopping.add(key)

    async def _sweep(self) -> None:
        starts: list[RunStart] = await ask(
            self._context, "claim_expired", self._owner, _CLAIMS_A_SWEEP
        )
        for start in starts:
            log.info("run taken over", run=start.run, epoch=start.epoch)
            self._background.start(self._take_over(start), name=f"run {start.run}")

    async def _take_over(self, start: RunStart) -> None:
        await self._run(await self._see_through(start))
