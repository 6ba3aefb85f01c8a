#!/usr/bin/env python3
"""From a fresh clone to a running project: find a Python, make .venv, install, then run the demo or the tests.

    python3 scripts/bootstrap.py              install only
    python3 scripts/bootstrap.py demo [PATH]  install, then upscale a made-up anime clip (or your own video)
    python3 scripts/bootstrap.py test [ARGS]  install, then run the tests (ARGS go to pytest)

Standard library alone; this file itself runs under Python 3.8 and later. The project needs 3.12 or later, which is
looked for in this order: --python PATH, the variable VSAPISR_PYTHON, python3.14 to python3.12 on the PATH, the Python
running this file, pyenv's versions. Each is tried by running it.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 12)
NAMES = ("python3.14", "python3.13", "python3.12")
EXTRAS = "cli,train,test"
SOURCES = [
    ("vsapisr", "bridge", "*.[ch]"),
    ("vsapisr", "networks", "cpu", "native", "*.[ch]"),
    ("train", "degradation", "native", "*.[ch]"),
]
"""What is compiled; the version in vsapisr/__init__.py goes into it."""
# On Linux torch comes with its CUDA libraries; elsewhere it is much smaller.
NEEDED_BYTES = (7 if sys.platform.startswith("linux") else 2) << 30
PROBE = """
import os, sys, sysconfig, venv, ensurepip
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
print("|".join(map(str, (".".join(map(str, sys.version_info[:3])), sys.implementation.name, int(os.path.exists(header)),
                         int(sys.maxsize > 2**32), os.path.realpath(sys.executable)))))
"""


class Stop(Exception):
    """Something is missing or failed; the text is for the user."""


# ---------------------------------------------------------------- finding a Python


def candidates(chosen, environ):
    """Yield (path or name, where it came from) in order of preference. A choice by the user is the only one."""
    if chosen:
        yield chosen, "--python"
        return
    if environ.get("VSAPISR_PYTHON"):
        yield absolute(environ["VSAPISR_PYTHON"]), "VSAPISR_PYTHON"
        return
    for name in NAMES:
        for folder in environ.get("PATH", "").split(os.pathsep):
            path = os.path.join(os.path.abspath(folder), name + (".exe" if os.name == "nt" else ""))
            if os.path.isfile(path) and os.access(path, os.X_OK):
                yield path, "PATH"
    yield sys.executable, "running this script"
    home = environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    found = glob.glob(os.path.join(home, "versions", "*", "bin", "python3"))
    found += glob.glob(os.path.join(home, "pyenv-win", "versions", "*", "python.exe"))
    yield from ((path, "pyenv") for path in sorted(found, key=_version_key, reverse=True))


def _version_key(path):
    """.../versions/3.12.1/bin/python3 -> (3, 12, 1); names such as "mambaforge" come last."""
    for part in reversed(path.split(os.sep)):
        numbers = part.split(".")
        if len(numbers) > 1 and all(n.isdigit() for n in numbers):
            return tuple(int(n) for n in numbers)
    return ()


def try_python(path):
    """Run an interpreter: (version, its real path, "") if it will do, or ("", "", why not)."""
    try:
        run = subprocess.run([path, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    except FileNotFoundError:
        return "", "", "there is no such file"
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", "", "it does not run: {}".format(error)
    if run.returncode:
        lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        if "No module named 'venv'" in lines[-1] or "No module named 'ensurepip'" in lines[-1]:
            return "", "", "it lacks the venv module (on Debian and Ubuntu: the package python3-venv)"
        return "", "", "it fails: " + lines[0 if "pyenv" in lines[0] else -1]
    answer = run.stdout.decode(errors="replace").strip().split("|")
    if len(answer) != 5:
        return "", "", "it answers strangely: " + answer[0][:80]
    version, kind, headers, wide, real = answer
    if tuple(int(n) for n in version.split(".")[:2]) < OLDEST:
        return "", "", "it is {}, older than {}.{}".format(version, *OLDEST)
    if kind != "cpython" or wide != "1":
        return "", "", "it is not a 64-bit CPython"
    if headers != "1":
        return "", "", "it has no Python.h (on Debian and Ubuntu: the package python3-dev)"
    return version, real, ""


def find_python(chosen=None, environ=None):
    """The first usable interpreter as (path, version, real path); Stop names what was tried and why each failed."""
    tried, seen = [], set()
    for path, origin in candidates(chosen, os.environ if environ is None else environ):
        if path in seen:
            continue
        seen.add(path)
        version, real, why = try_python(path)
        if version:
            return path, version, real
        tried.append("  {} (from {}): {}".format(path, origin, why))
    raise Stop(
        "No suitable Python: version {}.{} or later is needed, with venv and headers. Tried:\n{}\nInstall one "
        "(https://www.python.org/downloads, or: pyenv install 3.13) or name it with --python PATH.".format(
            *OLDEST, "\n".join(tried)
        )
    )


# ---------------------------------------------------------------- the environment


def venv_python(venv):
    """The interpreter inside a virtual environment."""
    return os.path.join(venv, "Scripts", "python.exe") if os.name == "nt" else os.path.join(venv, "bin", "python")


def fingerprint(root):
    """Hash of what the installation is made from; another value means install again."""
    digest = hashlib.sha256()
    sources = [path for place in SOURCES for path in glob.glob(os.path.join(root, *place))]
    named = ["pyproject.toml", "setup.py", os.path.join("vsapisr", "__init__.py")]
    for name in named + sorted(os.path.relpath(path, root) for path in sources):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                digest.update(name.encode() + b"\0" + file.read() + b"\0")
    digest.update((EXTRAS + "\0" + os.path.abspath(root)).encode())
    return digest.hexdigest()


def stamp_path(venv):
    """The stamp is written last, so an installation that was killed has none."""
    return os.path.join(venv, "vsapisr-installed")


def marker_path(venv):
    """Written first: tells an environment made here, which may be removed, from one the user made."""
    return os.path.join(venv, "vsapisr-bootstrap")


def read_stamp(venv):
    """[fingerprint, real path of the interpreter, path it was asked for by]; None without a whole installation."""
    try:
        with open(stamp_path(venv), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return lines if len(lines) == 3 and os.path.exists(venv_python(venv)) else None


def write_file(path, text):
    """Write a small file so that it is there whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)


def suits(stamp, wanted):
    """True if the environment was made by the interpreter the user wants (any, if none is named)."""
    return not wanted or wanted in stamp[1:] or os.path.realpath(wanted) == stamp[1]


def check_compiler(environ=None):
    """The bridge is C. CC names a compiler, else cc, gcc or clang is looked for; Windows finds its own."""
    environ = os.environ if environ is None else environ
    if os.name == "nt":
        return
    names = [environ["CC"].split()[0]] if environ.get("CC", "").strip() else ["cc", "gcc", "clang"]
    if not any(shutil.which(name, path=environ.get("PATH", "")) for name in names):
        raise Stop(
            "No C compiler: looked for {} on the PATH. Install one (Debian and Ubuntu: apt install build-essential; "
            "Fedora: dnf install gcc; macOS: xcode-select --install) or name it in CC.".format(", ".join(names))
        )


def check_disk(root, needed=NEEDED_BYTES):
    """Stop if the disk under ``root`` has less than ``needed`` bytes free."""
    free = shutil.disk_usage(root).free
    if free < needed:
        raise Stop(
            "Too little room: {:.1f} GB free under {}, but torch and its libraries need about {:.0f} GB.".format(
                free / 2**30, root, needed / 2**30
            )
        )


def clear_unfinished(venv):
    """Remove an environment made here; refuse to touch anything else under that name."""
    if not os.path.lexists(venv):
        return
    if not os.path.isdir(venv) or (os.listdir(venv) and not os.path.exists(marker_path(venv))):
        raise Stop("{} exists and was not made by this script. Move it away and try again.".format(venv))
    say("removing the old or unfinished {}".format(venv))
    # The marker goes last: killed in the middle of this, the next call knows the rest as its own.
    for name in sorted(os.listdir(venv), key=lambda name: name == os.path.basename(marker_path(venv))):
        path = os.path.join(venv, name)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)


def install(root, venv, wanted=None, chosen=None):
    """Make ``.venv`` and install the checkout into it, anew if an earlier try was cut short."""
    check_compiler()
    log = os.path.join(root, "build", "bootstrap.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    stamp = read_stamp(venv)
    if stamp and suits(stamp, wanted) and try_python(venv_python(venv))[0]:
        _, real, asked = stamp
        say("the project's build files have changed: bringing .venv up to date")
        write_file(stamp_path(venv), "\n".join(["unfinished", real, asked]) + "\n")
    else:
        asked, version, real = find_python(chosen)
        say("Python {} at {}".format(version, asked))
        clear_unfinished(venv)
        check_disk(root)
        os.makedirs(venv, exist_ok=True)
        write_file(marker_path(venv), "made by scripts/bootstrap.py\n")
        step("making .venv", [asked, "-m", "venv", venv], log, root)
    pip = [venv_python(venv), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    title = "installing vsapisr and what it needs (torch is large: this takes minutes)"
    step(title, pip + ["-e", ".[{}]".format(EXTRAS)], log, root)
    write_file(stamp_path(venv), "\n".join((fingerprint(root), real, asked)) + "\n")


# ---------------------------------------------------------------- running and showing


def say(text):
    """A line for the user; the output of demo and tests stays clean on stdout."""
    sys.stderr.write("bootstrap: {}\n".format(text))
    sys.stderr.flush()


def step(title, command, log, cwd):
    """Run a long command into a log, showing elapsed time and its last line; Stop shows the end of the log."""
    start, live = time.monotonic(), sys.stderr.isatty()
    say(title)
    with open(log, "ab") as out:
        out.write("\n$ {}\n".format(" ".join(command)).encode())
        out.flush()
        begin = out.tell()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd)
        done = threading.Event()
        ticker = threading.Thread(target=_tick, args=(log, begin, start, live, done), daemon=True)
        ticker.start()
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            done.set()
            ticker.join()
    if code:
        raise Stop(
            "{} failed (exit status {}). {}The last lines:\n{}\nThe whole log is {}".format(
                title, code, reason(tail(log, begin, 200)), tail(log, begin, 15), log
            )
        )
    say("  done in {:.0f} s".format(time.monotonic() - start))


def _tick(log, begin, start, live, done):
    width = 78
    while not done.wait(0.5 if live else 20.0):
        last = (tail(log, begin, 1) or "...").strip()
        line = "  {:4.0f} s  {}".format(time.monotonic() - start, last)[:width]
        sys.stderr.write("\r{:<{}}".format(line, width) if live else line + "\n")
        sys.stderr.flush()
    if live:
        sys.stderr.write("\r" + " " * width + "\r")


def tail(path, begin, count):
    """The last ``count`` lines of a file from byte ``begin`` on."""
    with open(path, "rb") as file:
        file.seek(begin)
        return "\n".join(file.read().decode(errors="replace").replace("\r", "\n").rstrip().splitlines()[-count:])


def reason(text):
    """A sentence on the usual causes of a failed pip, or nothing."""
    known = (
        (("No space left on device",), "The disk is full. "),
        (
            (
                "Failed to establish a new connection",
                "Temporary failure in name resolution",
                "ConnectTimeout",
                "NewConnectionError",
            ),
            "The package index cannot be reached: is there a network connection (or a proxy to set)? ",
        ),
        (("CERTIFICATE_VERIFY_FAILED",), "The package index's certificate is not trusted here. "),
        (("error: command '", "compilation terminated", "fatal error: "), "The C compiler failed. "),
        (
            ("No matching distribution found", "ResolutionImpossible"),
            "A package has no version for this Python or platform. ",
        ),
    )
    return next((sentence for signs, sentence in known if any(sign in text for sign in signs)), "")


def run(command, root, cwd=None):
    """Run the user's command to its end and return its exit status; Ctrl-C reaches it and is waited for."""
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
    process = subprocess.Popen(command, env=environ, cwd=cwd)
    while True:
        try:
            code = process.wait()
            return 128 - code if code < 0 else code
        except KeyboardInterrupt:
            continue
        except SystemExit:  # SIGTERM: the command is not left behind
            process.terminate()
            process.wait()
            raise


def parse(argv):
    """(interpreter or None, "install" | "demo" | "test", arguments for it)."""
    chosen, rest = None, list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-h", "--help"):
            print(__doc__.strip())
            raise SystemExit(0)
        if option == "--python" and rest:
            chosen = rest.pop(0)
        elif option.startswith("--python=") and len(option) > 9:
            chosen = option[9:]
        else:
            raise Stop(
                "unknown option {}; see --help".format(option) if option != "--python" else "--python needs a path"
            )
    action = rest.pop(0) if rest else "install"
    if action not in ("install", "demo", "test"):
        raise Stop("unknown command {!r}; known are demo, test, or nothing to install only".format(action))
    return absolute(chosen) if chosen else None, action, rest


def absolute(python):
    """A path or a name on the PATH, so that it means the same in every folder."""
    return os.path.abspath(python) if os.sep in python else shutil.which(python) or python


def main(argv):
    """Install if needed, then do what was asked; returns the exit status."""
    chosen, action, rest = parse(argv)
    venv = os.path.join(ROOT, ".venv")
    wanted = chosen or absolute(os.environ.get("VSAPISR_PYTHON") or "") or None
    stamp = read_stamp(venv)
    if not stamp or stamp[0] != fingerprint(ROOT) or not suits(stamp, wanted):
        install(ROOT, venv, wanted, chosen)
    elif action == "install":
        say("already installed")
    inside = venv_python(venv)
    if action == "test":
        return run([inside, "-m", "pytest"] + (rest or ["tests"]), ROOT, cwd=ROOT)
    if action == "demo":
        return run([inside, "-m", "scripts.demo"] + rest, ROOT)
    say("ready; the interpreter with vsapisr in it is {}".format(inside))
    return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        say(str(stop))
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped; the next call goes on where this one was")
        sys.exit(130)
