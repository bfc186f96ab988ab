"""Fixtures of all tests of statistics."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def frozen_garbage() -> Iterator[None]:
    """statsmodels collects garbage in each call of Holm's correction; skip the objects that exist now."""
    gc.freeze()
    yield
    gc.unfreeze()
