"""How the failure of a deployment is said in one sentence."""

from __future__ import annotations

from ray.serve.schema import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    DeploymentStatusOverview,
    DeploymentStatusTrigger,
)

from launcher.ray_local import failure


def deployment(status: DeploymentStatus, message: str) -> DeploymentStatusOverview:
    return DeploymentStatusOverview(
        status=status,
        status_trigger=DeploymentStatusTrigger.REPLICA_STARTUP_FAILED,
        replica_states={},
        message=message,
    )


def application(**deployments: DeploymentStatusOverview) -> ApplicationStatusOverview:
    return ApplicationStatusOverview(
        status=ApplicationStatus.DEPLOY_FAILED,
        message="two\nlines",
        last_deployed_time_s=0,
        deployments=deployments,
    )


def test_the_failed_deployment_is_named_with_the_last_line_of_its_traceback() -> None:
    status = application(
        context=deployment(DeploymentStatus.HEALTHY, ""),
        gateway=deployment(
            DeploymentStatus.DEPLOY_FAILED, "Traceback:\n  File …\nRuntimeError: no luck\n"
        ),
    )
    assert failure(status) == "gateway did not start: RuntimeError: no luck"


def test_a_failure_without_a_reason_says_so() -> None:
    status = application(gateway=deployment(DeploymentStatus.UNHEALTHY, ""))
    assert failure(status) == "gateway did not start: no reason was given"


def test_an_application_that_failed_before_its_deployments_is_said_in_one_line() -> None:
    assert failure(application()) == "Parley did not start: two lines"
