"""What the libraries in a wheel are and ask of a system, read from their headers: ELF, PE and Mach-O."""

from __future__ import annotations

import csv
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from scripts.wheels.targets import KERNELS, PLUGIN, Problem, Target
from vsapisr import __version__
from vsapisr.reuse.native import SIGNATURES

__all__ = ["inspect_names", "inspect_wheel"]

ROOT = Path(__file__).resolve().parents[2]
EXPORTS = {
    PLUGIN: {"VapourSynthPluginInit2"},
    KERNELS: {
        *(f"vsapisr_{name}" for name in ("abi", "level", "level_bf16", "workspace", "upscale")),
        *(f"vsapisr_hold_{name}" for name in ("abi", *SIGNATURES)),
    },
}
LIBRARIES = {
    "linux": r"(libc|libm|libdl|libpthread|ld-linux-aarch64)\.so\.\d+",
    "windows": r"(?i)kernel32\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll",
    "macos": r"/usr/lib/libSystem\.B\.dylib|@rpath/libvsapisr(_cpu)?\.dylib",
}
"""What every such system has: of manylinux' list, the C runtime of Windows 10, macOS itself."""
MACHINES = {
    "linux": {"x86_64": "X86_64", "arm64": "AARCH64"},
    "windows": {"x86_64": "AMD64"},
    "macos": {"x86_64": "X86_64", "arm64": "ARM64"},
}
PYTHON = re.compile(r"_?_?Py[A-Z_]")
MARKS = {"___dso_handle", "__mh_dylib_header"}
"""Of Mach-O's linker."""


def inspect_names() -> list[str]:
    """Names that the plugin looks up in Python but that the stable ABI of 3.12 does not have."""
    from abi3info import DATAS, FUNCTIONS

    text = (ROOT / "vsapisr/bridge/interpreter.h").read_text(encoding="utf-8")
    asked = set(re.findall(r"X\((\w+)\)", text.split("#define PYTHON_SYMBOLS(X)")[1].split("/* clang-format on")[0]))
    if len(asked) < 30:
        raise Problem("the names that the plugin looks up were not found in interpreter.h")
    known = {symbol.name for table in (FUNCTIONS, DATAS) for symbol, entry in table.items()
             if (entry.added.major, entry.added.minor) <= (3, 12)}  # fmt: skip
    return sorted(asked - known)


def _elf(binary: Any, target: Target) -> list[str]:
    import lief

    limit = tuple(int(n) for n in target.triple.rpartition("gnu.")[2].split("."))
    asked = {version.name for need in binary.symbols_version_requirement for version in need.get_auxiliary_symbols()}
    newer = [name for name in asked
             if not name.startswith("GLIBC_") or tuple(map(int, name[6:].split("."))) > limit]  # fmt: skip
    found = [f"asks for {name}" for name in sorted(newer)]
    tags = lief.ELF.DynamicEntry.TAG
    found += [f"has {tag.name}" for tag in (tags.RPATH, tags.RUNPATH, tags.TEXTREL) if binary.has(tag)]
    stack = [segment for segment in binary.segments if segment.type == lief.ELF.Segment.TYPE.GNU_STACK]
    if not stack or any(segment.has(lief.ELF.Segment.FLAGS.X) for segment in stack):
        found.append("wants a stack that can be executed")
    return found


def _pe(binary: Any, target: Target) -> list[str]:
    kinds = {kind.name for kind in binary.optional_header.dll_characteristics_lists}
    wanted = {"DYNAMIC_BASE", "HIGH_ENTROPY_VA", "NX_COMPAT"}
    found = [f"is not marked {name}" for name in sorted(wanted - kinds)]
    return found if binary.header.has_characteristic(type(binary.header).CHARACTERISTICS.DLL) else [*found, "is no DLL"]


def _macho(binary: Any, target: Target) -> list[str]:
    oldest = binary.build_version.minos if binary.has_build_version else binary.version_min.version
    limit = [int(n) for n in target.tag.split("_")[1:3]]
    found = [f"needs macOS {oldest[0]}.{oldest[1]}"] if list(oldest[:2]) > limit else []
    if target.machine == "arm64" and not binary.has_code_signature:
        found.append("is not signed, which macOS on arm64 asks for")
    return found


def _symbols(binary: Any, target: Target) -> tuple[set[str], set[str]]:
    """What it exports, what it leaves to others."""
    if target.system == "windows":
        return {one.name for one in binary.exported_functions}, {one.name for one in binary.imported_functions}
    exported = {one.name for one in binary.exported_symbols} - MARKS
    if target.system == "macos":
        return {name.removeprefix("_") for name in exported}, {one.name for one in binary.imported_symbols}
    return exported, {one.name for one in binary.dynamic_symbols if one.shndx == 0}  # also those without a type


def inspect_library(name: str, path: Path, target: Target) -> list[str]:
    """What is wrong with one library, a line each."""
    import lief

    lief.logging.disable()
    binary = lief.parse(str(path))
    if binary is None:
        return ["is no library"]
    header = binary.header
    machine = getattr(header, {"linux": "machine_type", "windows": "machine", "macos": "cpu_type"}[target.system])
    wanted = MACHINES[target.system][target.machine]
    found = [] if machine.name == wanted else [f"is for {machine.name}, not {wanted}"]
    exported, undefined = _symbols(binary, target)
    if exported != EXPORTS[name]:
        found.append(f"exports {sorted(exported)}, not {sorted(EXPORTS[name])}")
    found += [f"leaves {symbol} for a Python to resolve" for symbol in sorted(undefined) if PYTHON.match(symbol)]
    needed = [str(getattr(one, "name", one)) for one in binary.libraries]
    found += [f"needs {one}" for one in needed if not re.fullmatch(LIBRARIES[target.system], one)]
    found += {"linux": _elf, "windows": _pe, "macos": _macho}[target.system](binary, target)
    if name == PLUGIN and f"{__version__}\0".encode() not in path.read_bytes():
        found.append(f"does not hold the version {__version__}")
    return found


def inspect_wheel(path: Path, target: Target) -> list[str]:
    """What is wrong with a wheel, a line each."""
    info = f"vsapisr-{__version__}.dist-info/"
    expected = {str(library) for library in target.libraries.values()}
    found = []
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        names = set(archive.namelist())
        tags = re.findall(r"^Tag: (\S+)", archive.read(info + "WHEEL").decode(), re.MULTILINE)
        listed = {row[0] for row in csv.reader(archive.read(info + "RECORD").decode().splitlines())}
        archive.extractall(folder)
        there = {name for name in names if name.endswith((".so", ".dll", ".dylib", ".pyd", ".lib", ".pdb"))}
        if there != expected:
            found.append(f"{path.name}: has the libraries {sorted(there)}, not {sorted(expected)}")
        for name, place in target.libraries.items():
            if str(place) in there:
                found += [f"{path.name}: {place.name} {one}"
                          for one in inspect_library(name, Path(folder, place), target)]  # fmt: skip
    if tags != [f"cp312-abi3-{target.tag}"] or not path.name.endswith(f"-cp312-abi3-{target.tag}.whl"):
        found.append(f"{path.name}: has the tags {tags}")
    if listed != names:
        found.append(f"{path.name}: RECORD lists {sorted(listed ^ names)} too much or too little")
    if "vapoursynth/plugins/apisr/manifest.vs" not in names or any(name.startswith("train/") for name in names):
        found.append(f"{path.name}: the plugin's manifest is missing, or train is in it")
    return found
