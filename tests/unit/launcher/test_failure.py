"""How the failure of a deployment is said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.ray_local import failure


@dataclass
class Deployment:
    """As Serve's DeploymentStatusOverview, whose import would bring in Ray."""

    status: str
    message: str


@dataclass
class Application:
    """As Serve's ApplicationStatusOverview."""

    deployments: dict[str, Deployment] = field(default_factory=dict)
    message: str = "two\nlines"


def said(**deployments: Deployment) -> str:
    return failure(Application(deployments))  # type: ignore[arg-type]


def test_the_failed_deployment_is_named_with_the_last_line_of_its_traceback() -> None:
    sentence = said(
        context=Deployment("HEALTHY", ""),
        gateway=Deployment("DEPLOY_FAILED", "Traceback:\n  File …\nRuntimeError: no luck\n"),
    )
    assert sentence == "gateway did not start: RuntimeError: no luck"


def test_a_failure_without_a_reason_says_so() -> None:
    sentence = said(gateway=Deployment("UNHEALTHY", ""))
    assert sentence == "gateway did not start: no reason was given"


def test_an_application_that_failed_before_its_deployments_is_said_in_one_line() -> None:
    assert said() == "Parley did not start: two lines"
