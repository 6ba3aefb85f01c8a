"""Folders of material outside the project; tests that need them skip with a reason when they are absent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Threads of OpenMP that wait for one another give the core away instead of turning in circles on it. Tests call PyTorch
# from several threads at once, each with a team of its own: on a busy machine they took 30 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What counts as hanging in scripts.stress, on a machine that has other work.
os.environ.setdefault("STRESS_PATIENCE", "3")

from .bridge import fake as fake
from .skips import too_many

ROOT = Path(__file__).resolve().parent.parent


def outside_folder(variable: str, default: str) -> Path:
    """The folder named by the environment variable, else ``default`` beside the checkout; skips the test without it."""
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there (set {variable} to the folder of {default})")
    return folder


@pytest.fixture(scope="session")
def fixtures_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers made with the public reference implementation: the originals, else what the repository keeps of them."""
    if named := os.environ.get("VSAPISR_FIXTURES"):
        return Path(named)
    from .reference import unpack

    return unpack(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def art_dir() -> Path:
    """Pictures and videos to train and judge on."""
    return outside_folder("VSAPISR_ART", "art")


@pytest.fixture
def small_files():
    """Files of this process cannot grow beyond a size, as on a full disk."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


class Skips:
    """Counts what is skipped; the run fails where it is more than tests/skips.py allows."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.reasons.append(text.removeprefix("Skipped: "))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if too_many(self.reasons) and exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in too_many(self.reasons):
            terminalreporter.write_line(f"FAILED {line}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips())
