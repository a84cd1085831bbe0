"""The composition root: settings → deployments → application.

`python serve_app.py` runs all of Parley on this machine; `serve run serve_app:app`,
`serve build serve_app:app` and `serve deploy` take `app`, which is built when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher import ray_flags

ray_flags.apply()  # Ray reads its flags when it is first imported, just below

from ray import serve

from actors.agents.base import Agent
from actors.client_pool import ClientPool
from actors.context import ContextActor
from actors.gateway.app import Gateway
from actors.orchestrator import Orchestrator
from config.loading import load
from launcher import embedded
from launcher.run import run

if TYPE_CHECKING:
    from ray.serve import Application

    from config.settings import Agent as AgentSettings
    from config.settings import Box, Scaling, Settings

_SOCKET_HEADROOM = 1.5
"""A socket holds one ongoing request for life, and so does an HTTP request beside it."""


def build(settings: Settings) -> Application:
    """The application of these settings; what they leave out runs embedded."""
    endpoints = embedded.ensure(settings)
    settings, simulated = endpoints.settings, endpoints.simulated
    context = _deployment(ContextActor, "Context", settings, settings.boxes.context).bind(settings)
    pools = {
        name: _deployment(
            ClientPool, f"ClientPool:{name}", settings, settings.boxes.client_pool
        ).bind(name, settings, context)
        for name in settings.providers
    }
    agents = {
        name: _agent(name, agent, settings).bind(name, agent, pools[agent.provider])
        for name, agent in settings.agents.items()
    }
    orchestrator = _deployment(
        Orchestrator, "Orchestrator", settings, settings.boxes.orchestrator
    ).bind(settings, context, agents)
    gateway = _deployment(
        serve.ingress()(Gateway),
        "Gateway",
        settings,
        settings.boxes.gateway,
        max_ongoing_requests=int(settings.http.max_sockets * _SOCKET_HEADROOM),
    )
    application: Application = gateway.bind(settings, simulated, context, orchestrator)
    return application


def _agent(name: str, agent: AgentSettings, settings: Settings) -> Any:
    """One deployment an agent; `max_sessions` bounds its runs over the cluster.

    With a bound the number of replicas is fixed, and each has its share of the sessions: the rest
    wait in Serve's queue.
    """
    behaviour = Agent
    if agent.class_ is not None:
        module, _, attribute = agent.class_.partition(":")
        behaviour = getattr(import_module(module), attribute)
    options: dict[str, Any] = {}
    if agent.max_sessions is not None:
        replicas = max(1, min(agent.scaling.min, agent.max_sessions))
        options = {
            "autoscaling_config": None,
            "num_replicas": replicas,
            "max_ongoing_requests": agent.max_sessions // replicas,
        }
    box = settings.boxes.agent.model_copy(update={"scaling": agent.scaling})
    return _deployment(behaviour, f"Agent:{name}", settings, box, **options)


def _deployment(box: type, name: str, settings: Settings, size: Box, **options: Any) -> Any:
    """A box as a Serve deployment: sized, autoscaled, health-checked and drained."""
    defaults: dict[str, Any] = {
        "name": name,
        "ray_actor_options": {"num_cpus": size.num_cpus},
        "max_ongoing_requests": _ongoing(size.scaling),
        "autoscaling_config": {
            "min_replicas": size.scaling.min,
            "max_replicas": size.scaling.max,
            "target_ongoing_requests": size.scaling.target_inflight,
            "metrics_interval_s": settings.autoscaling.metrics_interval_s,
            "look_back_period_s": settings.autoscaling.look_back_period_s,
            "upscale_delay_s": settings.autoscaling.upscale_delay_s,
            "downscale_delay_s": settings.autoscaling.downscale_delay_s,
        },
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": 5,
    }
    deployment: Any = serve.deployment(box)
    return deployment.options(**defaults | options)


def _ongoing(scaling: Scaling) -> int:
    """Room above the target, so that a burst waits in the replica rather than in the router."""
    return scaling.target_inflight * 10


def __getattr__(name: str) -> Application:
    """`app`, built when Serve's tools ask for it: importing this module starts nothing."""
    if name == "app":
        return build(load())
    raise AttributeError(name)


if __name__ == "__main__":
    run(build)
