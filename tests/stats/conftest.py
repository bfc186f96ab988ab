"""What all tests of statistics share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def frozen_garbage() -> Iterator[None]:
    """statsmodels collects garbage in each call of Holm's correction: leave out what is there already."""
    gc.freeze()
    yield
    gc.unfreeze()
