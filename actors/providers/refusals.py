"""What a provider's refusal means, whatever its SDK calls it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from actors.core.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ProviderError,
    ProviderRejected,
)

_MAX_MESSAGE_CHARS = 300

_FILTER_CODES = {
    "bio_policy",
    "content_filter",
    "content_policy_violation",
    "misalignment_policy_violation",
}
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_CONTEXT_WORDS = re.compile(
    r"context (length|window|size)|token count.*exceeds|prompt is too long", re.IGNORECASE
)
_CREDENTIAL_CODES = {"invalid_api_key", "authentication_error", "permission_error"}
_REJECTION_CODES = {
    "billing_hard_limit_reached",
    "data_residency_mismatch",
    "insufficient_quota",
    "invalid_prompt",
    "model_not_found",
}
# Said of other statuses too, so it only counts where there is none.
_REJECTION_WITHOUT_STATUS = "invalid_request_error"
_RETRYABLE_STATUSES = {408, 409, 429}
_CREDENTIAL_STATUSES = {401, 403}
_SIZE_STATUSES = {None, 400, 413, 422}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a provider said instead of an answer.

    `status` is None for an error inside a stream that names none; `codes` are all of the
    provider's machine-readable words for it, `source` is the provider's name.
    """

    source: str
    message: str
    status: int | None = None
    codes: frozenset[str] = frozenset()
    retry_after_s: float | None = None

    def as_error(self) -> ProviderError:
        """The error to raise; here it is decided whether asking again may help."""
        if self.codes & _FILTER_CODES:
            return ContentFiltered(self._text)
        if self._is_about_context():
            return ContextLengthExceeded(self._text)
        if self.status in _CREDENTIAL_STATUSES or self.codes & _CREDENTIAL_CODES:
            # Providers repeat parts of a wrong key in their message.
            return ProviderRejected(f"{self.source} does not accept the configured credential")
        if self._would_be_repeated():
            return ProviderRejected(self._text)
        return ProviderError(self._text, retryable=True, retry_after_s=self.retry_after_s)

    @property
    def _text(self) -> str:
        what = "failed" if self.status is None else f"answered with status {self.status}"
        return f"{self.source} {what}: {self.message[:_MAX_MESSAGE_CHARS]}"

    def _is_about_context(self) -> bool:
        if self.codes & _CONTEXT_CODES:
            return True
        return self.status in _SIZE_STATUSES and bool(_CONTEXT_WORDS.search(self.message))

    def _would_be_repeated(self) -> bool:
        if self.codes & _REJECTION_CODES:
            return True
        if self.status is None:
            return _REJECTION_WITHOUT_STATUS in self.codes
        return self.status < 500 and self.status not in _RETRYABLE_STATUSES
