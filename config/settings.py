"""The schema of the configuration: frozen values, validated once at start."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

Environment = Literal["development", "staging", "production"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0)]

DEVELOPMENT_KEY = "parley-development-key"


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, coerce_numbers_to_str=True
    )


class Http(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may open a socket; the server's own is always allowed."""
    max_frame_bytes: int = Field(default=262_144, ge=1024)
    max_text_chars: int = Field(default=32_000, ge=1)
    hello_timeout_s: Seconds = 5
    heartbeat_s: Seconds = 25
    client_silence_s: Seconds = 60
    client_stall_s: Seconds = 30
    """A client that answers for nothing so long, though much was sent, is closed with 4413."""
    max_sockets: int = Field(default=4_000, ge=1)
    """Of one gateway replica; more are refused with 503."""


class Redis(Section):
    url: SecretStr | None = None
    """`redis://…`; null runs an embedded server."""
    context_ttl_s: int = Field(default=3600, ge=1)
    log_ttl_s: int = Field(default=300, ge=1)
    """How long a conversation's events are held after its last run ended."""


class Database(Section):
    url: SecretStr | None = None
    """`postgresql://…`, a role that may create tables and roles; null runs an embedded server."""
    pool_size: int = Field(default=8, ge=1)
    timeout_s: Seconds = 10


class Provider(Section):
    kind: Literal["gemini", "openai"]
    api_key: SecretStr | None = None
    base_url: str | None = None
    api: Literal["chat", "responses"] = "chat"
    max_connections: int = Field(default=200, ge=1)


class Parameters(Section):
    """What an agent asks of its model; a null leaves the provider's default."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()


class Scaling(Section):
    min: int = Field(default=1, ge=0)
    max: int = Field(default=4, ge=1)
    target_inflight: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is greater than max")
        return self


class Agent(Section):
    provider: str
    model: str
    description: str = ""
    persona: str = ""
    class_: str | None = Field(default=None, alias="class")
    """`module:Class` of a behaviour of its own; null is the plain agent."""
    parameters: Parameters = Parameters()
    fallbacks: tuple[str, ...] = ()
    max_sessions: int | None = Field(default=None, ge=1)
    timeout_s: Seconds = 60
    first_token_timeout_s: Seconds = 15
    idle_timeout_s: Seconds = 15
    can_prefill: bool = False
    context_window: int = Field(default=128_000, ge=256)
    scaling: Scaling = Scaling()


class Rule(Section):
    """The first rule whose condition holds, by falling priority, picks the agent."""

    name: str
    when: str
    agent: str
    priority: int = 0


class Routing(Section):
    default: str


class Box(Section):
    """One Serve deployment's size."""

    scaling: Scaling = Scaling()
    num_cpus: float = Field(default=0.1, gt=0)


class Boxes(Section):
    gateway: Box = Box(scaling=Scaling(min=1, max=1))
    orchestrator: Box = Box()
    context: Box = Box()
    agent: Box = Box()
    """Its scaling is each agent's own."""
    client_pool: Box = Box()


class Autoscaling(Section):
    """How quickly Serve's controller follows the load."""

    metrics_interval_s: Seconds = 2
    look_back_period_s: Seconds = 10
    upscale_delay_s: Seconds = 5
    downscale_delay_s: Seconds = 60


class Coalescing(Section):
    interval_ms: float = Field(default=30, ge=0, le=1000)


class Logging(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    encoding: Literal["JSON", "TEXT"] = "JSON"


class Auth(Section):
    bootstrap_key: SecretStr | None = None
    """Creates the organization `demo` with this API key at start."""


class Settings(Section):
    environment: Environment
    state_dir: str = ".parley"
    http: Http = Http()
    redis: Redis = Redis()
    database: Database = Database()
    auth: Auth = Auth()
    providers: dict[Name, Provider] = Field(min_length=1)
    agents: dict[Name, Agent] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    routing: Routing
    boxes: Boxes = Boxes()
    autoscaling: Autoscaling = Autoscaling()
    coalescing: Coalescing = Coalescing()
    logging: Logging = Logging()

    @property
    def simulated_providers(self) -> tuple[str, ...]:
        """Providers without a key: the simulator answers for them (development only)."""
        return tuple(name for name, p in self.providers.items() if p.api_key is None)

    def violations(self) -> list[tuple[str, str]]:
        """What no single section can see wrong: (path, what is wrong with it) pairs."""
        return [*self._dangling_names(), *self._unfit_for_environment()]

    def _dangling_names(self) -> list[tuple[str, str]]:
        found = []
        for name, agent in self.agents.items():
            if name == "auto":
                found.append(("agents.auto", "the name 'auto' means routing by the rules"))
            if agent.provider not in self.providers:
                found.append((f"agents.{name}.provider", f"no provider {agent.provider!r}"))
            found += [
                (f"agents.{name}.fallbacks", f"no agent {other!r}")
                for other in agent.fallbacks
                if other not in self.agents or other == name
            ]
        found += [
            (f"rules.{i}.agent", f"no agent {rule.agent!r}")
            for i, rule in enumerate(self.rules)
            if rule.agent not in self.agents
        ]
        if self.routing.default not in self.agents:
            found.append(("routing.default", f"no agent {self.routing.default!r}"))
        return found

    def _unfit_for_environment(self) -> list[tuple[str, str]]:
        if self.environment == "development":
            return []
        found = [
            (f"providers.{name}.api_key", f"is missing, and {self.environment} needs it")
            for name in self.simulated_providers
        ]
        key = self.auth.bootstrap_key
        if key is not None and key.get_secret_value() == DEVELOPMENT_KEY:
            found.append(("auth.bootstrap_key", f"{self.environment} refuses the development key"))
        return found
