"""The file that tells of a running Parley."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher import instance
from launcher.instance import Birth, Instance

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def me() -> Birth:
    return Birth.of(os.getpid())


@pytest.fixture
def here(me: Birth) -> Instance:
    return Instance(
        id="i",
        supervisor=me,
        watched=me,
        page="http://p/",
        urls={"redis": "redis://:hush@r"},
        servers=(me,),
    )


def test_an_instance_is_read_as_it_was_written(tmp_path: Path, here: Instance) -> None:
    instance.write(tmp_path, here)
    assert instance.read(tmp_path) == here


def test_the_file_holds_passwords_and_is_its_owners_alone(tmp_path: Path, here: Instance) -> None:
    instance.write(tmp_path, here)
    instance.write(tmp_path, here)
    assert instance.file_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_there_is_none_before_the_first_start_and_after_an_orderly_end(
    tmp_path: Path, here: Instance
) -> None:
    assert instance.read(tmp_path) is None
    instance.write(tmp_path, here)
    instance.forget(tmp_path)
    assert instance.read(tmp_path) is None


def test_a_torn_file_is_no_instance(tmp_path: Path) -> None:
    instance.file_of(tmp_path).write_text('{"id": ')
    assert instance.read(tmp_path) is None


def test_a_process_that_took_over_a_pid_is_not_mistaken(here: Instance, me: Birth) -> None:
    earlier = replace(me, started=me.started - 1)
    assert here.is_supervised
    assert here.is_wanted
    assert not replace(here, supervisor=earlier).is_supervised
    assert not replace(here, watched=earlier).is_wanted
