"""Every error that users or boxes are told of.

ParleyError
├── InvalidRequest          the request cannot be right, however often it is sent
├── Unauthenticated         no credential, or not one of ours
├── Forbidden               a credential that may not do this
├── NotFound                no such thing, or not yours
├── Conflict                the id is taken by another payload
├── TooLarge                over a limit that `welcome` states
├── RateLimited             too many requests of this caller
├── QuotaExceeded           the organization's allowance is used up
├── Busy                    the conversation answers another message and rejects this one
├── Overloaded              the server refuses early to keep its promises to others
├── Unavailable             a part of the server is down
├── Internal                a defect of ours
└── ProviderError           a provider failed
    ├── ProviderTimeout         it was silent for too long
    ├── ProviderRejected        it refuses this request, and would again
    ├── Truncated               its answer ended without an end
    ├── ContentFiltered         it declines for its policy's sake
    └── ContextLengthExceeded   the context is larger than the model's window

`code` is the wire's, `retryable` is decided once, here or where an SDK's error is translated.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ParleyError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.message = message or str(type(self).__doc__)
        super().__init__(self.message)
        if retryable is not None:
            self.retryable = retryable
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.message, self.retryable, self.retry_after_s)

    def as_json(self) -> dict[str, Any]:
        """The `error` object of the wire."""
        body = {"code": self.code, "message": self.message, "retryable": self.retryable}
        if self.retry_after_s is not None:
            body["retry_after_s"] = self.retry_after_s
        return body


def _revive(
    kind: type[ParleyError], message: str, retryable: bool, retry_after_s: float | None
) -> ParleyError:
    return kind(message, retryable=retryable, retry_after_s=retry_after_s)


class InvalidRequest(ParleyError):
    """The request is not valid."""

    code = "invalid_request"
    http_status = 400


class Unauthenticated(ParleyError):
    """The credential is missing or not known."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(ParleyError):
    """The credential does not allow this."""

    code = "forbidden"
    http_status = 403


class NotFound(ParleyError):
    """There is no such thing."""

    code = "not_found"
    http_status = 404


class Conflict(ParleyError):
    """The id is already used for something else."""

    code = "conflict"
    http_status = 409


class TooLarge(ParleyError):
    """The request is over a limit."""

    code = "too_large"
    http_status = 413


class RateLimited(ParleyError):
    """Too many requests."""

    code = "rate_limited"
    http_status = 429
    retryable = True


class QuotaExceeded(ParleyError):
    """The organization's allowance is used up."""

    code = "quota_exceeded"
    http_status = 429


class Busy(ParleyError):
    """The conversation is answering another message."""

    code = "busy"
    http_status = 409
    retryable = True


class Overloaded(ParleyError):
    """The server is at its limit."""

    code = "overloaded"
    http_status = 503
    retryable = True


class Unavailable(ParleyError):
    """A part of the server is down."""

    code = "unavailable"
    http_status = 503
    retryable = True


class Internal(ParleyError):
    """The server made a mistake."""

    code = "internal"


class ProviderError(ParleyError):
    """The provider failed."""

    code = "provider_error"
    http_status = 502
    retryable = True


class ProviderTimeout(ProviderError):
    """The provider was silent for too long."""

    code = "provider_timeout"
    http_status = 504


class ProviderRejected(ProviderError):
    """The provider refuses the request."""

    retryable = False


class Truncated(ProviderError):
    """The provider's answer ended without an end."""


class ContentFiltered(ProviderError):
    """The provider declines for its policy's sake."""

    code = "content_filtered"
    http_status = 400
    retryable = False


class ContextLengthExceeded(ProviderError):
    """The context is larger than the model's window."""

    code = "context_length_exceeded"
    http_status = 400
    retryable = False
