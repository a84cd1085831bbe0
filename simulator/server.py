"""The HTTP server: finds the wire of a request, plans the answer, has it delivered."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from simulator.admin import Admin
from simulator.answers import answer, count_tokens
from simulator.behaviour import Behaviour, BehaviourBook, BehaviourError
from simulator.delivery import Delivery, error_response, refuse
from simulator.faults import plan, refusal
from simulator.journal import Journal, RequestRecord, Traffic
from simulator.pacing import Pace
from simulator.routes import Route, find_route, find_wire, read_generation
from simulator.wire import Finish, GenerationRequest, Identity, Problem, ProblemError, Wire

_MAX_BODY_BYTES = 64 * 1024 * 1024
_MODELS = ("gemini-3.8-flash", "gemini-3.1-flash-lite", "gpt-5.5")
_STOP_S = 0.05


class _Socket(web.Server):
    """Tells the journal of connections."""

    def __init__(self, simulator: "Simulator") -> None:
        super().__init__(
            simulator.handle,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
        )
        self._journal = simulator.journal

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        self._journal.connection_opened(handler, peer[1] if peer else 0)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._journal.connection_closed(handler)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=_MAX_BODY_BYTES
        )


class Simulator:
    """All simulated providers of one process. Everything depends on the seed and on what is
    asked; nothing on chance.
    """

    def __init__(self, *, seed: int, defaults: Behaviour, kept: int) -> None:
        self.behaviours = BehaviourBook(defaults)
        self.journal = Journal(kept)
        self._seed = seed
        self._admin = Admin(self.behaviours, self.journal)

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        path, query = http.rel_url.path, http.rel_url.query
        if path.startswith("/_sim/"):
            return await self._admin.handle(http, path.removeprefix("/_sim/"))
        wire = find_wire(path, google="x-goog-api-key" in http.headers or "key" in query)
        try:
            route = find_route(http.method, path, alt=query.get("alt"))
            if route.kind != "generation":
                return self._describe(wire, route)
            asked = read_generation(wire, route, await http.read())
            return await self._generate(http, route.provider, wire, asked)
        except ProblemError as refused:
            return error_response(wire, refused.problem, {})

    def _describe(self, wire: Wire, route: Route) -> web.Response:
        if route.kind == "model_card":
            body = wire.model_card(route.name)
        else:
            named = [name for name in self.behaviours.settings if "*" not in name]
            body = wire.model_list([*_MODELS, *named])
        return web.Response(body=body, content_type="application/json")

    async def _generate(
        self, http: web.BaseRequest, provider: str, wire: Wire, asked: GenerationRequest
    ) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        model, behaviour = self._behaviour(provider, asked)
        record = self._record(http, provider, wire, asked, model)
        traffic = self.journal.add(record)
        with _accounting(record, traffic):
            input_tokens = count_tokens(asked.prompt)
            prefilled = asked.prompt.prefill is not None
            refused = refusal(behaviour.faults, input_tokens=input_tokens, prefilled=prefilled)
            if refused:
                return refuse(wire, refused, record)
            tokens, finish = self._answer(asked, model, behaviour, record.attempt)
            planned = plan(behaviour.faults, tokens, finish)
            record.tokens, record.fault = planned.tokens, planned.fault
            delivery = Delivery(
                http=http,
                wire=wire,
                encoder=wire.encoder(_identity(asked, record)),
                plan=planned,
                pace=Pace(
                    first_token_s=behaviour.first_token_s, tokens_per_s=behaviour.tokens_per_s
                ),
                record=record,
                traffic=traffic,
                input_tokens=input_tokens,
                started=started,
            )
            return await delivery.perform()

    def _behaviour(self, provider: str, asked: GenerationRequest) -> tuple[str, Behaviour]:
        try:
            return self.behaviours.take(provider, asked.model)
        except BehaviourError as error:
            said = f"The model's behaviour is not understood: {error}"
            raise ProblemError(Problem(status=400, message=said, param="model")) from error

    def _answer(
        self, asked: GenerationRequest, model: str, behaviour: Behaviour, attempt: int
    ) -> tuple[list[str], Finish]:
        tokens = answer(
            asked.prompt,
            seed=self._seed,
            model=model,
            attempt=attempt if behaviour.vary_attempts else 1,
            length=behaviour.length,
            quote_system=behaviour.quote_system,
        )
        if asked.max_tokens is not None and len(tokens) > asked.max_tokens:
            return tokens[: asked.max_tokens], "length"
        return tokens, "stop"

    def _record(
        self,
        http: web.BaseRequest,
        provider: str,
        wire: Wire,
        asked: GenerationRequest,
        model: str,
    ) -> RequestRecord:
        connection = self.journal.connection_used(http.protocol, provider)
        prompt = asked.prompt
        return RequestRecord(
            number=self.journal.next_number(),
            provider=provider,
            wire=wire.name,
            model=model,
            attempt=self.journal.count_attempt((provider, model, prompt.fingerprint)),
            streamed=asked.stream,
            system=prompt.system,
            user_messages=prompt.user_messages,
            prefill=prompt.prefill,
            connection=connection.number,
            peer_port=connection.peer_port,
            received_at=time.time(),
        )


def _identity(asked: GenerationRequest, record: RequestRecord) -> Identity:
    return Identity(
        number=record.number,
        created=int(record.received_at),
        model=asked.model,
        include_usage=asked.include_usage,
    )


@contextmanager
def _accounting(record: RequestRecord, traffic: Traffic) -> Iterator[None]:
    """Counts the request as in progress; as cancelled, if it ends before its answer did."""
    traffic.in_progress += 1
    try:
        yield
    except (asyncio.CancelledError, ConnectionError):
        if record.finish is None:
            record.finish = "cancelled"
            traffic.cancelled += 1
        raise
    finally:
        traffic.in_progress -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSimulator:
    """A simulator that listens: `url` has no trailing slash."""

    url: str
    simulator: Simulator

    @property
    def behaviours(self) -> BehaviourBook:
        return self.simulator.behaviours

    @property
    def journal(self) -> Journal:
        return self.simulator.journal

    def base_url(self, provider: str) -> str:
        """The root of a provider's paths, without the version."""
        return f"{self.url}/{provider}"


@asynccontextmanager
async def running_simulator(
    *,
    seed: int = 0,
    defaults: Behaviour | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    kept: int = 1000,
) -> AsyncIterator[RunningSimulator]:
    """Serve on a real socket until the context ends; port 0 takes a free one.

    The newest `kept` requests are recorded. Raises OSError if the port is taken.
    """
    simulator = Simulator(seed=seed, defaults=defaults or Behaviour(), kept=kept)
    runner = web.ServerRunner(_Socket(simulator), shutdown_timeout=_STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        bound = runner.addresses[0][1]
        yield RunningSimulator(url=f"http://{host}:{bound}", simulator=simulator)
    finally:
        await runner.cleanup()
