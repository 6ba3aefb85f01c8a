"""Bootstrap: search for an interpreter among fake ones, the stamp, and the words for what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the fake interpreters are shell scripts")
SCRIPT = Path(bootstrap.__file__)


def fake(path: Path, body: str) -> str:
    """A shell script in an interpreter's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body + "\n")
    path.chmod(0o755)
    return str(path)


def answering(path: Path, version: str, kind: str = "cpython", headers: int = 1) -> str:
    return fake(path, f'echo "{version}|{kind}|{headers}|1|{path}"')


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Nothing on the PATH, no pyenv, an old Python running the script."""
    monkeypatch.setattr(bootstrap.sys, "executable", answering(tmp_path / "old" / "python3", "3.9.18"))
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}


def test_newest_on_the_path_that_runs_is_taken(tmp_path: Path, world: dict[str, str]):
    fake(tmp_path / "bin" / "python3.14", 'echo "pyenv: python3.14: command not found" >&2; exit 127')
    good = answering(tmp_path / "bin" / "python3.13", "3.13.1")
    answering(tmp_path / "bin" / "python3.12", "3.12.7")
    assert bootstrap.find_python(None, world) == (good, "3.13.1", good)


def test_same_name_later_on_the_path_is_tried_too(tmp_path: Path, world: dict[str, str]):
    fake(tmp_path / "bin" / "python3.12", "exit 1")
    good = answering(tmp_path / "more" / "python3.12", "3.12.0")
    world["PATH"] += os.pathsep + str(tmp_path / "more")
    assert bootstrap.find_python(None, world)[0] == good


def test_pyenv_versions_are_tried_newest_first(tmp_path: Path, world: dict[str, str]):
    for version in ("3.9.1", "3.12.10", "3.12.9", "2.7.18"):
        answering(tmp_path / "pyenv" / "versions" / version / "bin" / "python3", version)
    answering(tmp_path / "pyenv" / "versions" / "mambaforge" / "bin" / "python3", "3.13.0")
    assert bootstrap.find_python(None, world)[1] == "3.12.10"


def test_argument_goes_before_variable_and_both_before_the_path(tmp_path: Path, world: dict[str, str]):
    answering(tmp_path / "bin" / "python3.14", "3.14.0")
    one, two = answering(tmp_path / "one", "3.12.1"), answering(tmp_path / "two", "3.13.1")
    world["VSAPISR_PYTHON"] = two
    assert bootstrap.find_python(one, world)[1] == "3.12.1"
    assert bootstrap.find_python(None, world)[1] == "3.13.1"


def test_relative_names_become_absolute(tmp_path: Path, world: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """The steps of an installation run in the checkout, wherever the user is."""
    monkeypatch.chdir(tmp_path)
    good = answering(tmp_path / "bin" / "python3.13", "3.13.1")
    assert bootstrap.find_python(None, {**world, "VSAPISR_PYTHON": "bin/python3.13"})[0] == good
    assert bootstrap.find_python(None, {**world, "PATH": "bin"})[0] == good
    assert bootstrap.parse(["--python", "bin/python3.13"])[0] == good


def test_named_interpreter_that_fails_is_not_replaced_silently(tmp_path: Path, world: dict[str, str]):
    answering(tmp_path / "bin" / "python3.12", "3.12.1")
    with pytest.raises(bootstrap.Stop, match=r"gone \(from --python\): there is no such file"):
        bootstrap.find_python(str(tmp_path / "gone"), world)


def test_message_names_all_that_was_tried_and_why_it_failed(tmp_path: Path, world: dict[str, str]):
    fake(
        tmp_path / "bin" / "python3.14",
        'echo "pyenv: python3.14: command not found" >&2; echo "  3.14.0" >&2; exit 127',
    )
    answering(tmp_path / "bin" / "python3.13", "3.13.1", kind="pypy")
    answering(tmp_path / "bin" / "python3.12", "3.12.1", headers=0)
    novenv = "echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1"
    fake(tmp_path / "pyenv" / "versions" / "3.12.2" / "bin" / "python3", novenv)
    fake(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3", "echo hello")
    with pytest.raises(bootstrap.Stop) as caught:
        bootstrap.find_python(None, world)
    text = str(caught.value)
    for part in (
        "version 3.12 or later is needed",
        "it fails: pyenv: python3.14: command not found",
        "not a 64-bit CPython",
        "it has no Python.h (on Debian and Ubuntu: the package python3-dev)",
        "it is 3.9.18, older than 3.12",
        "the package python3-venv",
        "it answers strangely: hello",
        "--python PATH",
    ):
        assert part in text


def test_real_interpreter_passes_the_probe():
    version, real, why = bootstrap.try_python(sys.executable)
    assert (version, why) == (".".join(map(str, sys.version_info[:3])), "") or "Python.h" in why
    assert not real or os.path.samefile(real, sys.executable)


def checkout(folder: Path) -> Path:
    """A checkout with a finished environment."""
    (folder / "vsapisr" / "bridge").mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "vsapisr/bridge/plugin.c"):
        (folder / name).write_text(name)
    venv = folder / ".venv"
    python = answering(venv / "bin" / "python", "3.12.1")
    bootstrap.write_file(bootstrap.marker_path(str(venv)), "")
    stamp = "\n".join((bootstrap.fingerprint(str(folder)), "/real/python3.12", "/asked/python3")) + "\n"
    bootstrap.write_file(bootstrap.stamp_path(str(venv)), stamp)
    assert os.path.exists(python)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "setup.py",
        "pyproject.toml",
        "vsapisr/__init__.py",
        "vsapisr/bridge/plugin.c",
        "vsapisr/bridge/values.h",
        "vsapisr/networks/cpu/native/native.c",
        "vsapisr/networks/cpu/native/run.h",
    ],
)
def test_fingerprint_follows_what_the_installation_is_made_from(tmp_path: Path, name: str):
    root = checkout(tmp_path / "a")
    before = bootstrap.fingerprint(str(root))
    (root / "README.md").write_text("words")
    assert bootstrap.fingerprint(str(root)) == before
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("changed")
    assert bootstrap.fingerprint(str(root)) != before


def test_stamp_counts_only_with_an_interpreter_and_whole(tmp_path: Path):
    venv = str(checkout(tmp_path / "a") / ".venv")
    stamp = bootstrap.read_stamp(venv)
    assert stamp[1:] == ["/real/python3.12", "/asked/python3"]
    assert (
        bootstrap.suits(stamp, None)
        and bootstrap.suits(stamp, "/asked/python3")
        and bootstrap.suits(stamp, "/real/python3.12")
    )
    assert not bootstrap.suits(stamp, "/other/python3")
    os.remove(bootstrap.venv_python(venv))
    assert bootstrap.read_stamp(venv) is None
    answering(Path(bootstrap.venv_python(venv)), "3.12.1")
    Path(bootstrap.stamp_path(venv)).write_text("half")
    assert bootstrap.read_stamp(venv) is None


def test_second_call_installs_nothing_and_passes_arguments_and_status_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = checkout(tmp_path / "a")
    fake(root / ".venv" / "bin" / "python", 'echo "$PWD $*" > "$0.called"; exit 5')
    monkeypatch.setattr(bootstrap, "ROOT", str(root))
    monkeypatch.setattr(bootstrap, "install", lambda *_: pytest.fail("installed again"))
    monkeypatch.delenv("VSAPISR_PYTHON", raising=False)
    called = root / ".venv" / "bin" / "python.called"
    assert bootstrap.main(["test", "-k", "tiles", "-x"]) == 5
    assert called.read_text().split() == [str(root), "-m", "pytest", "-k", "tiles", "-x"]
    assert bootstrap.main(["demo", "my clip.mkv"]) == 5
    assert called.read_text().strip() == f"{os.getcwd()} -m scripts.demo my clip.mkv"
    (root / "setup.py").write_text("changed")
    with pytest.raises(pytest.fail.Exception, match="installed again"):
        bootstrap.main([])


def installer(root: Path, log: Path, fails: str = "") -> str:
    """A Python that makes a "virtual environment" whose interpreter is itself and writes down what it was asked."""
    path = root.parent / "python3"
    return fake(
        path,
        f"""
case "$*" in
  *"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python"; echo venv >> {log};;
  *"-m pip"*) echo "pip $*" >> {log}; {fails};;
  *) echo "3.12.1|cpython|1|1|{path}";;
esac""",
    )


def test_install_update_and_recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "check_disk", lambda root: None)
    root, log = tmp_path / "a", tmp_path / "log"
    (root / "vsapisr").mkdir(parents=True)
    (root / "setup.py").write_text("")
    python, venv = installer(root, log), str(root / ".venv")
    bootstrap.install(str(root), venv, python, python)
    assert log.read_text().count("venv") == 1 and "-e .[cli,train,test]" in log.read_text()
    assert bootstrap.read_stamp(venv)[0] == bootstrap.fingerprint(str(root))
    # Other build files: pip runs again, the environment stays.
    kept = Path(venv) / "kept"
    kept.write_text("")
    bootstrap.install(str(root), venv, None, None)
    assert kept.exists() and log.read_text().count("pip install") == 2
    # Killed in the middle of the first installation: there is no stamp, all begins anew.
    os.remove(bootstrap.stamp_path(venv))
    bootstrap.install(str(root), venv, python, python)
    assert not kept.exists() and bootstrap.read_stamp(venv) is not None


def test_failed_pip_shows_cause_last_lines_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "check_disk", lambda root: None)
    root, log = tmp_path / "a", tmp_path / "log"
    (root / "vsapisr").mkdir(parents=True)
    python = installer(root, log, "echo 'Temporary failure in name resolution'; echo 'ERROR: the end'; exit 1")
    with pytest.raises(bootstrap.Stop) as caught:
        bootstrap.install(str(root), str(root / ".venv"), python, python)
    text = str(caught.value)
    assert "exit status 1" in text and "is there a network connection" in text and "ERROR: the end" in text
    assert str(root / "build" / "bootstrap.log") in text
    assert bootstrap.read_stamp(str(root / ".venv")) is None


def test_environment_of_the_user_is_not_removed(tmp_path: Path):
    mine = tmp_path / ".venv" / "bin" / "python"
    fake(mine, "exit 0")
    with pytest.raises(bootstrap.Stop, match="was not made by this script"):
        bootstrap.clear_unfinished(str(tmp_path / ".venv"))
    assert mine.exists()


def test_missing_compiler_and_room(tmp_path: Path):
    with pytest.raises(bootstrap.Stop, match="No C compiler: looked for cc, gcc, clang on the PATH.*build-essential"):
        bootstrap.check_compiler({"PATH": str(tmp_path)})
    with pytest.raises(bootstrap.Stop, match="looked for /no/tcc"):
        bootstrap.check_compiler({"PATH": str(tmp_path), "CC": "/no/tcc -O2"})
    fake(tmp_path / "gcc", "exit 0")
    bootstrap.check_compiler({"PATH": str(tmp_path)})
    with pytest.raises(bootstrap.Stop, match="Too little room: .* torch and its libraries need about 1048576 GB"):
        bootstrap.check_disk(str(tmp_path), 1 << 50)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ssl.SSLError CERTIFICATE_VERIFY_FAILED", "certificate"),
        ("vsapisr/bridge/plugin.c:3: fatal error: Python.h: No such file", "C compiler failed"),
        ("something else", ""),
    ],
)
def test_usual_causes_have_a_sentence(text: str, word: str):
    assert word in bootstrap.reason(text) and bool(word) == bool(bootstrap.reason(text))


def test_wrong_arguments_and_help_run_anywhere(tmp_path: Path):
    def call(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, str(SCRIPT), *args], cwd=tmp_path, capture_output=True, text=True)

    assert "VSAPISR_PYTHON" in call("--help").stdout
    wrong = call("dmeo")
    assert wrong.returncode == 1 and "unknown command 'dmeo'; known are demo, test" in wrong.stderr
    assert "unknown option --pyhton" in call("--pyhton", "x").stderr
    missing = call("--python", str(tmp_path / "none"), "test")
    assert missing.returncode == 1 and "there is no such file" in missing.stderr and "Traceback" not in missing.stderr
