"""The wheel, the source distribution and the editable install: what is in them, and that VapourSynth finds the plugin.

Built without isolation from a copy of the checkout, so setuptools has to be installed here; nothing is downloaded."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import vapoursynth as vs

import vsapisr

ROOT = Path(__file__).parents[1]
PLUGIN = "vapoursynth/plugins/apisr/"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
PROBE = "import vapoursynth as vs; print(vs.core.apisr.Version()['bridge'], vs.core.apisr.plugin_path)"
KERNELS = """import sys
sys.modules["vapoursynth"] = None  # not importable
from vsapisr import libraries
from vsapisr.networks.cpu import network
print(libraries.path(network.__file__, "cpu", "").is_file())
"""
SLIDER = "vsapisr/cli/page/img-comparison-slider.LICENSE"
DEGRADE = f"train/degradation/libvsapisr_degrade{SUFFIX}"

pytestmark = [
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not a checkout"),
    pytest.mark.skipif(not importlib.util.find_spec("setuptools"), reason="setuptools is not installed"),
    pytest.mark.skipif(not importlib.util.find_spec("pip"), reason="pip is not installed"),
]


def run(*command, cwd=None, env=None) -> str:
    # A PYTHONPATH that leads to the checkout would make pip believe that vsapisr is there already.
    env = {name: value for name, value in (env or os.environ).items() if name != "PYTHONPATH"}
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=env)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def pip(*arguments) -> str:
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of what the build needs, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "vsapisr", folder / "vsapisr", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copytree(ROOT / "train" / "degradation" / "native", folder / "train" / "degradation" / "native")
    models = folder / "vsapisr" / "weights" / "models"
    models.mkdir(exist_ok=True)
    (models / "probe.safetensors").write_bytes(b"weights")
    (models / "probe.md").write_text("card", encoding="utf-8")
    (models / "probe.pth").write_bytes(b"not to be shipped")
    return folder


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    code = "from setuptools import build_meta; print(build_meta.build_sdist(__import__('sys').argv[1]))"
    return folder / run(sys.executable, "-c", code, folder, cwd=checkout).split()[-1]


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Built from the source distribution, which therefore is complete if this wheel is."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, sdist)
    (path,) = folder.glob("*.whl")
    return path


def plugins_and_caches(folder: str, names: list[str]) -> list[str]:
    """What of VapourSynth's folder is not copied: whichever plugins are installed here."""
    return names if Path(folder).name == "plugins" else [name for name in names if name == "__pycache__"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A virtual environment with this one's packages behind its own VapourSynth, whose plugin folder starts empty."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    site = Path(run(interpreter(folder), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip())
    source = Path(vs.get_include()).parent
    shutil.copytree(source, site / "vapoursynth", ignore=plugins_and_caches)
    for info in source.parent.glob("[vV]apour[sS]ynth-*.dist-info"):
        shutil.copytree(info, site / info.name)
    shared = {sysconfig.get_path("purelib"), str(Path(importlib.util.find_spec("setuptools").origin).parents[1])}
    (site / "behind.pth").write_text("\n".join(sorted(shared)), encoding="utf-8")
    return folder


def interpreter(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installed(environment: Path, *arguments) -> str:
    """Runs this pip on that environment."""
    return pip("--python", interpreter(environment), *arguments)


def plugin_files(environment: Path) -> set[str]:
    (folder,) = environment.glob("**/site-packages/vapoursynth/plugins")
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PLUGIN_FILES = {"apisr/manifest.vs", f"apisr/libvsapisr{SUFFIX}"}
LIBRARIES = {f"{PLUGIN}libvsapisr{SUFFIX}", f"vsapisr/networks/cpu/libvsapisr_cpu{SUFFIX}"}


def test_wheel_has_the_stable_abi_tag_of_this_platform(wheel):
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.startswith(f"vsapisr-{vsapisr.__version__}-cp312-abi3-")
    assert wheel.name.endswith(".whl") and (sys.platform == "darwin" or platform in wheel.name)


def test_wheel_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        manifest = archive.read(PLUGIN + "manifest.vs").decode()
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        records = {row[0] for row in csv.reader(archive.read(f"{info}/RECORD").decode().splitlines())}
    assert {name for name in names if name.startswith("vapoursynth/")} == {
        "vapoursynth/plugins/" + f for f in PLUGIN_FILES
    }
    assert {name for name in names if name.endswith(SUFFIX)} == LIBRARIES
    assert {"vsapisr/__init__.py", "vsapisr/py.typed", "vsapisr/networks/grl.py"} <= names
    assert {"vsapisr/weights/models/probe.safetensors", "vsapisr/weights/models/probe.md"} <= names
    page = {f"vsapisr/cli/page/{name}" for name in ("page.html", "page.css", "page.js", "img-comparison-slider.js")}
    assert page <= names and f"{info}/licenses/{SLIDER}" in names and SLIDER in names
    assert {name.split("/")[0] for name in names} == {"vapoursynth", "vsapisr", info}
    assert not [name for name in names if name.endswith((".c", ".h", ".pth"))]
    assert names == records
    assert manifest == "[VapourSynth Manifest V1]\nlibvsapisr\n"
    assert "Requires-Python: >=3.12" in metadata and "License-Expression: MIT" in metadata
    assert "vsapisr = vsapisr.cli:main" in scripts


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_library_asks_nothing_of_python_at_load_time(wheel, tmp_path, name):
    nm = shutil.which("nm")
    if not nm or sys.platform == "win32":
        pytest.skip("no nm here")
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(name, tmp_path)
    undefined = run(nm, "-u", library)
    assert not [line for line in undefined.splitlines() if " _Py" in line or " Py" in line]
    if shutil.which("readelf"):
        assert "libpython" not in run("readelf", "-d", library)


def see_in_vspipe(environment: Path, tmp_path: Path) -> str:
    """Version as a script in that environment's own vspipe sees it."""
    script = tmp_path / "script.vpy"
    script.write_text(
        "import vapoursynth as vs\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(vs.core.apisr.Version()['bridge'])\n"
        "vs.core.std.BlankClip(length=1).set_output()\n",
        encoding="utf-8",
    )
    python = interpreter(environment)
    variables = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}
    run(python, "-m", "vapoursynth", "config", env=variables)
    program = Path(run(python, "-c", "import vapoursynth as v; print(v.get_include())").strip()).with_name("vspipe")
    run(program, "--info", script, env=variables)
    return (tmp_path / "seen").read_text(encoding="utf-8")


def test_install_then_editable_then_uninstall(checkout, wheel, environment, tmp_path):
    """Each over the one before, the strict editable mode over the other: the plugin in its folder, then not."""
    wheel_install = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    editable = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--editable", checkout]
    strict = [*editable, "--config-settings", "editable_mode=strict"]
    for command in (wheel_install, editable, strict):
        installed(environment, *command)
        assert plugin_files(environment) == PLUGIN_FILES
        code = f"{PROBE}; import vsapisr; print(vsapisr.__file__)"
        plugin, package = run(interpreter(environment), "-c", code, cwd=tmp_path).splitlines()
        assert plugin.split()[0] == vsapisr.__version__
        assert run(interpreter(environment), "-c", KERNELS, cwd=tmp_path).strip() == "True"
        assert (checkout / DEGRADE).exists() == (command is not wheel_install)
        assert Path(plugin.split(maxsplit=1)[1]).resolve().is_relative_to(environment.resolve())
        home = environment if command is wheel_install else checkout
        assert Path(package).resolve().is_relative_to(home.resolve())
    assert see_in_vspipe(environment, tmp_path) == vsapisr.__version__
    assert not (checkout / "vapoursynth").exists()
    installed(environment, "uninstall", "--quiet", "--yes", "vsapisr")
    assert plugin_files(environment) == set()


def test_source_distribution_contents(sdist):
    with tarfile.open(sdist) as archive:
        names = {member.split("/", 1)[1] for member in archive.getnames() if "/" in member}
    native = {f"networks/cpu/native/{path.name}" for path in (ROOT / "vsapisr/networks/cpu/native").iterdir()}
    needed = native | {
        *(f"bridge/{path.name}" for path in (ROOT / "vsapisr/bridge").glob("*.[ch]")),
        "py.typed",
        "__init__.py",
        "weights/models/probe.safetensors",
    }
    assert {f"vsapisr/{part}" for part in needed} | {"setup.py", "pyproject.toml", "LICENSE"} <= names
    assert not [name for name in names if name.endswith(SUFFIX)]
