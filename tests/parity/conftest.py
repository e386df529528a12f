"""Which recorded entries are run: those of --parity-dir, else those that are at hand."""

from pathlib import Path
from typing import Any

import pytest
from parity.entries import FILES
from parity.harness import SUFFIX, entries

HERE = Path(__file__).parent
SHARED = HERE.parent.parent.parent / "shared" / "parity"
COPIES = HERE / "figures"
SLOW = pytest.mark.slow


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "parity_entry" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("--parity-dir")
    folder = Path(asked) if asked else SHARED if SHARED.is_dir() else COPIES
    found = [_parameter(*entry, asked=bool(asked)) for entry in entries(folder)]
    metafunc.parametrize("parity_entry", [p for p in found if p is not None])


def _parameter(file: str, name: str, figures: dict[str, Any], *, asked: bool) -> Any:
    """With --parity-dir every entry runs, whatever it takes and whether or not it is known."""
    case = FILES[file](name) if file in FILES else None
    if case is None and not asked:
        return None
    marks = [SLOW] if case is not None and case.slow and not asked else []
    return pytest.param((file, name, figures, case), id=f"{file}: {name}", marks=marks)


@pytest.fixture(scope="session")
def copies() -> Path:
    assert list(COPIES.glob(f"*{SUFFIX}"))
    return COPIES
