"""Builds the plugin library and puts it where VapourSynth loads plugins from, and beside it the libraries of CPU kernels and of
the training data's degradation, which Python loads; the rest is in pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PLUGIN_FOLDER = Path("vapoursynth", "plugins", "apisr")
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
KERNELS = "vsapisr/networks/cpu/native"
OPTIONAL = ("cpu", "degrade")
"""Without these, where they did not compile, vsapisr and train do the same more slowly."""
LIBRARIES = {"bridge": "libvsapisr" + SUFFIX} | {name: f"libvsapisr_{name}{SUFFIX}" for name in OPTIONAL}
MANIFEST = "[VapourSynth Manifest V1]\nlibvsapisr\n"
"""The folder's libraries by name: VapourSynth loads these and looks no further into the folder."""


def library(extension: str) -> str:
    return LIBRARIES[extension.rpartition(".")[2]]


class BuildPlugin(build_ext):
    """Builds the bridge as a VapourSynth plugin, and the others: not importable, no module suffix, a manifest beside them."""

    def build_extension(self, ext) -> None:
        import vapoursynth  # a build requirement, for its headers

        if ext.optional:
            return super().build_extension(ext)
        ext.include_dirs.append(vapoursynth.get_include())
        ext.define_macros.append(("VSAPISR_VERSION", f'"{self.distribution.get_version()}"'))
        super().build_extension(ext)
        Path(self.get_ext_fullpath(ext.name)).with_name("manifest.vs").write_text(MANIFEST, encoding="utf-8")

    def get_ext_filename(self, fullname: str) -> str:
        return str(PLUGIN_FOLDER / library(fullname))

    def get_ext_fullpath(self, ext_name: str) -> str:
        return str(Path(self.build_lib, PLUGIN_FOLDER, library(ext_name)))

    def get_export_symbols(self, ext) -> list[str]:
        return []  # they export by themselves; there is no PyInit

    def get_outputs(self) -> list[str]:
        folder = Path(self.build_lib, PLUGIN_FOLDER)
        names = [LIBRARIES["bridge"], "manifest.vs"]
        names += [LIBRARIES[name] for name in OPTIONAL if (folder / LIBRARIES[name]).exists()]
        return [str(folder / name) for name in names]

    def get_output_mapping(self) -> dict[str, str]:
        return {}  # no file of the source tree stands in for the library

    def copy_extensions_to_source(self) -> None:
        """Editable install (and ``build_ext --inplace``): a library in the source tree would not be loaded, so it goes
        into the editable wheel itself, whose unpacked form setuptools has made the target of `install`. Being in the
        wheel, it is replaced by an upgrade and removed by an uninstall."""
        if not self.editable_mode:
            return
        target = Path(self.get_finalized_command("install").install_lib)
        for output in map(Path, self.get_outputs()):
            copy = target / output.relative_to(self.build_lib)
            copy.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(output), str(copy))


def compiler_flags() -> tuple[list[str], list[str]]:
    """Flags for compiling and for linking."""
    if sys.platform == "win32":
        return ["/std:c11", "/experimental:c11atomics"], []
    compile_args = ["-std=c11", "-O2", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-format-truncation"]
    # Nothing may be left for a Python in the process to resolve: the library has to load without one.
    return compile_args, [] if sys.platform == "darwin" else ["-Wl,-z,defs", "-ldl"]


def optional_library(name: str, folder: str, depends: list[str]) -> Extension:
    """Kernels for several instruction sets, without Python in them."""
    gnu = sys.platform != "win32"
    return Extension(
        f"vsapisr.{name}",
        sources=sorted(map(str, Path(folder).glob("*.c"))),
        depends=sorted(map(str, Path(folder).glob("*.h"))) + depends,
        # After -O2, so that it counts; -Wpsabi warns of vectors in arguments, but all such functions are inlined.
        extra_compile_args=[*compile_args, *(["-O3", "-Wno-psabi", "-pthread"] if gnu else [])],
        extra_link_args=[*link_args, *(["-pthread"] if gnu else [])],
        py_limited_api=True,
        optional=True,
    )


compile_args, link_args = compiler_flags()
readme = Path(__file__).with_name("README.md")
setup(
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    ext_modules=[
        Extension(
            "vsapisr.bridge",
            sources=["vsapisr/bridge/plugin.c"],
            depends=["vsapisr/bridge/python.h", "vsapisr/bridge/values.h"],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            py_limited_api=True,
        ),
        optional_library("cpu", KERNELS, []),
        optional_library("degrade", "train/degradation/native", [f"{KERNELS}/vector.h", f"{KERNELS}/processor.h"]),
    ],
    cmdclass={"build_ext": BuildPlugin},
    # The library calls CPython's stable ABI of 3.12, so one wheel serves 3.12 and later, but neither PyPy nor a
    # free-threaded build: exactly what cp312-abi3 says and py3-none would not. VapourSynth's own wheel has this tag too.
    options={"bdist_wheel": {"py_limited_api": "cp312"}},
)
