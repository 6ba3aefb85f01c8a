"""Builds the plugin into the folder VapourSynth loads plugins from, the library of CPU kernels into the package, and,
in a checkout alone, the degradation's library beside ``train/degradation``; the rest is in pyproject.toml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = os.environ.get("VSAPISR_LIBRARIES")
"""A folder with the libraries as they lie in a wheel, if they were compiled elsewhere, perhaps for another system."""
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
KERNELS = "vsapisr/networks/cpu/native"
PLUGIN = "vsapisr.bridge"
LIBRARIES = {
    PLUGIN: Path("vapoursynth", "plugins", "apisr", "libvsapisr" + SUFFIX),
    "vsapisr.networks.cpu": Path("vsapisr", "networks", "cpu", "libvsapisr_cpu" + SUFFIX),
    "train.degradation": Path("train", "degradation", "libvsapisr_degrade" + SUFFIX),
}
"""By extension. Without the last two, where they did not compile, vsapisr and train do the same more slowly."""
MANIFEST = "[VapourSynth Manifest V1]\nlibvsapisr\n"
"""The folder's libraries by name: VapourSynth loads these and looks no further into the folder."""


class BuildLibraries(build_ext):
    """Libraries in their places, not modules: no suffix of an interpreter, nothing to import; a manifest beside the
    plugin.
    """

    def run(self) -> None:
        if not self.editable_mode and not self.inplace:  # into a wheel, of which train is no part
            self.extensions = [ext for ext in self.extensions if not ext.name.startswith("train.")]
        super().run()

    def build_extension(self, ext) -> None:
        if COMPILED:
            path = Path(self.get_ext_fullpath(ext.name))
            path.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(Path(COMPILED, path.relative_to(self.build_lib))), str(path))
        elif ext.name == PLUGIN:
            import vapoursynth  # a build requirement, for its headers

            ext.include_dirs.append(vapoursynth.get_include())
            ext.define_macros.append(("VSAPISR_VERSION", f'"{self.distribution.get_version()}"'))
            super().build_extension(ext)
        else:
            return super().build_extension(ext)
        if ext.name == PLUGIN:
            self.write_manifest()

    def write_manifest(self) -> None:
        Path(self.get_ext_fullpath(PLUGIN)).with_name("manifest.vs").write_text(MANIFEST, encoding="utf-8")

    def get_ext_filename(self, fullname: str) -> str:
        place = LIBRARIES[fullname]
        for path in Path(COMPILED).glob(str(place.with_suffix(".*"))) if COMPILED else ():
            place = path.relative_to(COMPILED)  # with the suffix of its system
        return str(place)

    def get_ext_fullpath(self, ext_name: str) -> str:
        return str(Path(self.build_lib, self.get_ext_filename(ext_name)))

    def get_export_symbols(self, ext) -> list[str]:
        return []  # they export by themselves; there is no PyInit

    def get_outputs(self) -> list[str]:
        built = [Path(self.get_ext_fullpath(ext.name)) for ext in self.extensions]
        manifest = Path(self.get_ext_fullpath(PLUGIN)).with_name("manifest.vs")
        return [str(path) for path in [*built, manifest] if path.exists()]

    def get_output_mapping(self) -> dict[str, str]:
        return {}  # no file of the source tree stands in for a library

    def copy_extensions_to_source(self) -> None:
        """Editable install and ``build_ext --inplace``: libraries of the packages go into the source tree, which they
        are imported from. A plugin there would not be loaded, so it goes into the editable wheel itself, whose unpacked
        form setuptools has made the target of `install`. Being in the wheel, it is replaced by an upgrade and removed
        by an uninstall."""
        for output in map(Path, self.get_outputs()):
            place = output.relative_to(self.build_lib)
            if place.parts[0] != "vapoursynth":
                self.copy_file(str(output), str(place))
            elif self.editable_mode:
                copy = Path(self.get_finalized_command("install").install_lib, place)
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
        name,
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
            PLUGIN,
            sources=sorted(map(str, Path("vsapisr/bridge").glob("*.c"))),
            depends=sorted(map(str, Path("vsapisr/bridge").glob("*.h"))),
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            py_limited_api=True,
        ),
        optional_library("vsapisr.networks.cpu", KERNELS, []),
        optional_library(
            "train.degradation", "train/degradation/native", [f"{KERNELS}/vector.h", f"{KERNELS}/processor.h"]
        ),
    ],
    cmdclass={"build_ext": BuildLibraries},
    # The library calls CPython's stable ABI of 3.12, so one wheel serves 3.12 and later, but neither PyPy nor a
    # free-threaded build: exactly what cp312-abi3 says and py3-none would not. VapourSynth's own wheel has this tag
    # too.
    options={"bdist_wheel": {"py_limited_api": "cp312"}},
)
