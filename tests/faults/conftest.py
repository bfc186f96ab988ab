"""The toy study that the tests disturb."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faulty import Stages


@pytest.fixture(scope="session")
def make_faulty_study(
    toy_study: Callable[[Path], None], change: Callable[[Path, str, object], None]
) -> Callable[[Path], None]:
    """Write the toy study, with several checkpoints per training."""

    def make(folder: Path) -> None:
        toy_study(folder)
        for key, value in {"epochs": 3, "checkpoint_every": 2, "validate_every": 7}.items():
            change(folder / "profiles/pocket.yaml", f"train.{key}", value)

    return make


@pytest.fixture(scope="session")
def stages(
    make_faulty_study: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("faults") / "study"
    make_faulty_study(folder)
    stages = Stages(folder)
    yield stages
    stages.close()
