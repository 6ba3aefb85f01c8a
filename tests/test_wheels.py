"""Wheels for other systems: their names and contents, the programs that try the libraries out, and what is published
with them. ``python -m scripts.wheels`` itself, which takes a compiler from PyPI and a minute, is not run here."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

import vsapisr
from scripts.wheels import headers, job, pack, tryout
from scripts.wheels.targets import KERNELS, PLUGIN, TARGETS, Problem
from vsapisr import libraries
from vsapisr.networks.cpu import network

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HERE = TARGETS["linux-x86_64"]

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="no C compiler here, or not Linux"
)
needs_lief = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("lief", "abi3info"))), reason="lief and abi3info are not installed"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The source distribution, unpacked."""
    work = tmp_path_factory.mktemp("work")
    pack.pack_source(tmp_path_factory.mktemp("sdist"), work)
    return work / "source"


def compiled(program: str, folder: Path, *options: str) -> Path:
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *options, str(tryout.NATIVE / program)]
    subprocess.run([*command, "-o", str(folder / "program"), "-ldl"], check=True)
    return folder / "program"


@pytest.mark.parametrize("name", ["windows-x86_64", "macos-arm64"])
def test_a_wheel_of_another_system_has_its_libraries_and_its_tag(source, tmp_path, name):
    target = TARGETS[name]
    for path in target.libraries.values():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(path.name.encode())
    wheel = pack.pack_wheel(target, tmp_path, source, tmp_path)
    assert wheel.name == f"vsapisr-{vsapisr.__version__}-cp312-abi3-{target.tag}.whl"
    with zipfile.ZipFile(wheel) as archive:
        for path in target.libraries.values():
            assert archive.read(str(path)) == path.name.encode()
        names = archive.namelist()
        assert (
            f"Tag: cp312-abi3-{target.tag}\n" in archive.read(f"vsapisr-{vsapisr.__version__}.dist-info/WHEEL").decode()
        )
    assert "vapoursynth/plugins/apisr/manifest.vs" in names and not [one for one in names if one.endswith(".so")]


def test_a_library_that_was_not_compiled_is_said(source, tmp_path):
    with pytest.raises(Problem, match="libvsapisr"):
        pack.pack_wheel(HERE, tmp_path, source, tmp_path)


def test_the_libraries_lie_where_they_are_looked_for():
    assert libraries.path(network.__file__, "cpu", "").with_suffix("") == ROOT / KERNELS
    assert Path(vs.core.apisr.plugin_path).with_suffix("").as_posix().endswith(PLUGIN)


@needs_lief
def test_the_names_looked_up_in_python_are_of_the_stable_abi():
    assert headers.inspect_names() == []


@needs_lief
@on_linux
def test_the_installed_kernels_export_what_is_listed():
    library = libraries.path(network.__file__, "cpu", "")
    if not library.is_file():
        pytest.skip("the library of CPU kernels is not installed, or this processor has no AVX2")
    found = headers.inspect_library(KERNELS, library, HERE)
    assert [line for line in found if line.startswith(("exports", "leaves"))] == []


@needs_lief
@on_linux
def test_what_is_wrong_with_a_library_is_found(tmp_path):
    code = tmp_path / "library.c"
    code.write_text(
        '#include <stdio.h>\nextern int PyLong_Check;\nint vsapisr_abi(void) { return puts("") + PyLong_Check; }',
        encoding="utf-8",
    )
    made = tmp_path / "library.so"
    options = ["-shared", "-fPIC", "-Wl,-rpath,/nowhere", "-Wl,-z,execstack"]
    subprocess.run(["cc", *options, str(code), "-o", str(made)], check=True)
    found = headers.inspect_library(KERNELS, made, HERE)
    assert any("exports" in line for line in found) and "leaves PyLong_Check for a Python to resolve" in found
    assert "has RUNPATH" in found and "wants a stack that can be executed" in found
    older = replace(HERE, triple="x86_64-linux-gnu.2.1")  # than any symbol
    assert any("asks for GLIBC_2." in line for line in headers.inspect_library(KERNELS, made, older))
    assert "is for X86_64, not AARCH64" in headers.inspect_library(KERNELS, made, TARGETS["linux-arm64"])
    assert any("does not hold the version" in line for line in headers.inspect_library(PLUGIN, made, HERE))


@on_linux
def test_a_host_without_python_is_told_what_is_missing(tmp_path):
    program = compiled("host.c", tmp_path, f"-I{vs.get_include()}")
    done = subprocess.run([program, vs.core.apisr.plugin_path], capture_output=True, text=True)
    assert done.returncode == 0
    tryout.check_plugin("here", done.stdout)
    with pytest.raises(Problem, match="not expected"):
        tryout.check_plugin("here", done.stdout.replace("freed 1", "freed 0"))


@on_linux
def test_the_kernels_program_gives_the_networks_numbers(tmp_path):
    if network.load_library() is None:
        pytest.skip("the library of CPU kernels is not installed, or this processor has no AVX2")
    program = compiled("kernels.c", tmp_path)
    job.write_job(tmp_path / "job", "avx2")
    library = libraries.path(network.__file__, "cpu", "")
    subprocess.run([program, library, "1", tmp_path / "job", tmp_path / "result"], check=True)
    result = np.fromfile(tmp_path / "result", np.float32)
    assert "from the readable network" in tryout.compare("avx2", result, {})
    with pytest.raises(Problem, match="from what Linux computes"):
        tryout.compare("avx2", result, {"avx2": result + 2e-6})
    result[7] += 0.01
    with pytest.raises(Problem, match="from the readable network"):
        tryout.compare("avx2", result, {})


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc: no fork on this system")
def test_the_level_is_what_the_system_says_of_the_processor():
    library = network.load_library()
    if library is None:
        pytest.skip("the library of CPU kernels is not installed, or this processor has no AVX2")
    flags = set(re.search(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
    wide = {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
    expected = 3 if wide | {"avx512_bf16"} <= flags else 2 if wide <= flags else 1 if {"avx2", "fma"} <= flags else 0
    assert library.vsapisr_level() == expected


def test_every_platform_is_in_the_table():
    table = [line for line in (ROOT / "docs/install.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    names = {line.split("|")[1].strip() for line in table[2:]}
    systems = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}
    assert names == {f"{systems[one.system]} {one.machine.replace('_', '-')}" for one in TARGETS.values()}


def test_the_entry_for_vsrepo_tells_of_this_plugin():
    entry = json.loads((ROOT / "packaging/apisr.json").read_text(encoding="utf-8"))
    plugin = vs.core.apisr
    assert (entry["type"], entry["namespace"], entry["identifier"]) == ("VSPlugin", plugin.namespace, plugin.identifier)
    assert entry["pypiname"] == "vsapisr" and {"name", "category", "description", "releases"} <= entry.keys()


def steps(path: Path) -> list[dict]:
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["name"] == path.stem and True in content  # "on" is a truth value in YAML
    return [step for one in content["jobs"].values() for step in one["steps"]]


@pytest.mark.skipif(importlib.util.find_spec("yaml") is None, reason="PyYAML is not installed")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_there_is(path):
    """Modules and files that are called exist, and extras that are installed."""
    commands = [step["run"] for step in steps(path) if "run" in step]
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for command in commands:
        for module in re.findall(r"python\S* -m (scripts\.\w+)", command):
            assert importlib.util.find_spec(module), command
        for file in re.findall(r"(?:scripts|packaging|docs)/\S+\.\w+", command):
            assert (ROOT / file).is_file(), command
        for extra in re.findall(r"\[(\w+)\]", command):
            assert f"\n{extra} = [" in extras, command
    assert all(re.search(r"@(v\d+|release/v\d+)$", step["uses"]) for step in steps(path) if "uses" in step)


def test_there_are_workflows():
    assert {"tests", "wheels", "docs"} <= {path.stem for path in WORKFLOWS}
