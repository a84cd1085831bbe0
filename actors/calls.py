"""Calls from box to box, and what Ray's errors mean."""

from __future__ import annotations

from typing import Any

from actors.core.errors import Internal, ParleyError, Unavailable


async def ask(box: Any, method: str, *arguments: Any) -> Any:
    """The answer of a box: `box` is the deployment handle of one.

    Raises:
        ParleyError: what the box raised, as it raised it.
        Unavailable: its replica died, or none is there.
    """
    try:
        return await getattr(box, method).remote(*arguments)
    except ParleyError as error:
        raise _original(error) from None
    except Exception as error:
        raise _translate(error) from error


def _original(error: ParleyError) -> ParleyError:
    """Ray raises a subclass of both its own error and the cause's class, which hides the cause."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, ParleyError) else error


def _translate(error: Exception) -> ParleyError:
    from ray.exceptions import RayActorError, RayTaskError
    from ray.serve.exceptions import RayServeException

    if isinstance(error, RayTaskError):
        return Internal(f"A box failed: {error.cause!r}")
    if isinstance(error, RayActorError | RayServeException):
        return Unavailable("A part of the server is restarting.", retry_after_s=1.0)
    return Internal(f"A call failed: {type(error).__name__}")
