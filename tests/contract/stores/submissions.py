"""Messages on their way in, for tests."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from actors.core.runs import Submission

if TYPE_CHECKING:
    from actors.core.messages import Principal
    from actors.stores.runs import Claim, Receipt, Runs

LEASE_S = 60.0
_numbers = count()


def said(
    principal: Principal, conversation: str | None = None, text: str = "Hi", **fields: str
) -> Submission:
    """A message with an id of its own, unless one is given."""
    return Submission(
        principal=principal,
        client_message_id=fields.pop("id", None) or f"m{next(_numbers)}",
        conversation=conversation,
        text=text,
        agent=fields.pop("agent", None),
    )


async def accepted(runs: Runs, submission: Submission) -> Receipt:
    (receipt,) = await runs.accept([submission], LEASE_S)
    return receipt


async def begun(runs: Runs, run: str, owner: str = "owner", lease_s: float = LEASE_S) -> Claim:
    (claim,) = await runs.begin([run], owner, lease_s)
    return claim
