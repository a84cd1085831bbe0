"""Boxes begun and ended as Serve does it, one at a time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tests.harness.boxes import begin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Box = TypeVar("Box")


@asynccontextmanager
async def running(kind: type[Box], *arguments: Any) -> AsyncIterator[Box]:
    """A box, ended by its destructor once: the garbage collector finds it has none."""
    box: Any = await begin(kind, *arguments)
    try:
        yield box
    finally:
        await box.__del__()
        box.__class__ = type(kind.__name__, (kind,), {"__del__": lambda _: None})
