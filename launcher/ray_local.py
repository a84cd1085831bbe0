"""Ray and Serve on this machine: started, filled with the application, stopped in bounded time."""

from __future__ import annotations

import logging
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from launcher.background import Background
from launcher.screen import page_of
from launcher.sweep import end, wait_until

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.schema import ApplicationStatusOverview

    from config.settings import Settings
    from launcher.screen import Progress

APPLICATION = "parley"
_LOGICAL_CPUS = 64
_OBJECT_STORE_BYTES = 200_000_000
_DEPLOY_TIMEOUT_S = 300.0
_PROXY_TIMEOUT_S = 30.0
_SERVE_STOP_S = 5.0
_RAY_STOP_S = 2.0


class RayFailedError(Exception):
    """Ray, Serve or a deployment did not start; the message is one sentence."""


def start(settings: Settings, progress: Progress, *, dashboard: bool) -> str | None:
    """Ray's processes, then Serve's controller and proxy; `host:port` of the dashboard, if any.

    Replicas reserve fractions of logical CPUs; the operating system shares out the real ones.

    Raises:
        RayFailedError: Ray did not start twice, or Serve did not.
    """
    from ray import serve

    try:
        address = _start_ray(dashboard=dashboard)
    except Exception:  # noqa: BLE001 - Ray raises bare ones; it gives a busy machine but 30 s
        progress.tell("Ray: did not start, once more")
        end(psutil.Process().children(recursive=True), grace_s=1)
        address = _start_ray_or_fail(dashboard=dashboard)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    progress.tell("Ray: up")
    try:
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.http.host, "port": settings.http.port},
            logging_config=_logging(settings),
        )
    except Exception as error:  # also a bare one
        raise RayFailedError(f"Serve did not start: {_one_line(error)}") from error
    progress.tell("Serve: up")
    return address


def _start_ray_or_fail(*, dashboard: bool) -> str | None:
    try:
        return _start_ray(dashboard=dashboard)
    except Exception as error:
        raise RayFailedError(f"Ray did not start: {_one_line(error)}") from error


def _start_ray(*, dashboard: bool) -> str | None:
    import ray

    context = ray.init(
        address="local",
        num_cpus=_LOGICAL_CPUS,
        object_store_memory=_OBJECT_STORE_BYTES,
        include_dashboard=dashboard,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return str(context.dashboard_url) if dashboard else None


def deploy(application: Application, settings: Settings, progress: Progress) -> None:
    """Returns when every deployment is healthy and the page answers through the proxy.

    Raises:
        RayFailedError: a deployment failed, or all of it took longer than five minutes.
    """
    from ray import serve

    target = serve.RunTarget(
        target=application,
        name=APPLICATION,
        route_prefix="/",
        logging_config=_logging(settings),
    )
    serve.run_many([target], wait_for_applications_running=False)
    healthy: set[str] = set()

    def is_running() -> bool:
        status = serve.status().applications[APPLICATION]
        for name, deployment in status.deployments.items():
            if name not in healthy and deployment.status == "HEALTHY":
                healthy.add(name)
                progress.tell(f"{name}: up")
        if status.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
            raise RayFailedError(failure(status))
        return bool(status.status == "RUNNING")

    if not wait_until(is_running, timeout_s=_DEPLOY_TIMEOUT_S, every_s=0.5):
        raise RayFailedError("Parley's deployments did not become healthy in five minutes.")
    url = f"{page_of(settings)}healthz"
    if not wait_until(lambda: _answers(url), timeout_s=_PROXY_TIMEOUT_S, every_s=0.1):
        raise RayFailedError(f"The proxy does not answer at {url}.")


def stop() -> bool:
    """Serve, then Ray; False when either did not end in time and is left for the sweep."""
    import ray
    from ray import serve

    if not is_up():
        return True
    with redirect_stdout(StringIO()):  # Ray reports its own orderly end as a failed task
        return Background(serve.shutdown).ends_within(_SERVE_STOP_S) and Background(
            ray.shutdown
        ).ends_within(_RAY_STOP_S)


def is_up() -> bool:
    """Whether this process is connected to its Ray."""
    import ray

    return bool(ray.is_initialized())


def failure(status: ApplicationStatusOverview) -> str:
    """What Serve says of the first deployment that failed: the last line of its traceback."""
    for name, deployment in status.deployments.items():
        if deployment.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
            lines = deployment.message.strip().splitlines()
            return f"{name} did not start: {lines[-1].strip() if lines else 'no reason was given'}"
    return f"Parley did not start: {' '.join(status.message.split())}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _logging(settings: Settings) -> dict[str, str]:
    return {"encoding": settings.logging.encoding, "log_level": settings.logging.level}


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - the address of our own page
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
