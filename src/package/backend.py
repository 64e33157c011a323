# SPDX-License-Identifier: MIT
"""Builds the package: what pip calls, by PEP 517, when it makes a wheel or an sdist of this directory.

It is setuptools with three things besides: the sources of the extension module are those of the Makefile's
binary, and compiled at once instead of one by one; app.py is compiled with the interpreter that will run it;
and the sdist has all that the build, and `make`, need.
"""

import concurrent.futures
import glob
import marshal
import os
import sys

import setuptools
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 (the hooks, of which some are replaced below)
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

NOT_IN_MODULE = {"src/main.c", "src/python/interp.c"}  # the embedding binary's beginning, and its interpreter
SHIPPED = ("src", "include", "apps", "docs", "tests", ".ci")
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O2",
    "-fvisibility=hidden",
    "-fno-plt",
    "-fno-semantic-interposition",
    "-fstack-protector-strong",
]
LIBRARIES = ["pthread", "dl", "m", "rt"]


def sources():
    return sorted(set(glob.glob("src/*.c") + glob.glob("src/*/*.c")) - NOT_IN_MODULE)


def headers():
    return sorted(glob.glob("include/cserve/*.h") + glob.glob("src/*/*.h")) + ["src/process/page.html"]


def shipped():
    """What an sdist has: all but what some run of this project has left behind."""
    for top in SHIPPED:
        for directory, directories, names in os.walk(top):
            directories[:] = [name for name in directories if not name.endswith(("__pycache__", ".egg-info"))]
            yield from (os.path.join(directory, name) for name in names if not name.endswith((".pyc", ".so")))
    yield from ("Makefile", "README.md", "LICENSE", "pyproject.toml", "setup.cfg")


class Build(build_ext):
    """Compiles as many files at a time as there are processors."""

    def build_extension(self, extension):
        code = os.path.join(self.build_temp, "app.code")
        self.mkpath(self.build_temp)
        self.write_app(code)
        extension.define_macros = [
            ("CSERVE_VERSION", f'"{self.distribution.get_version()}"'),
            ("APP_CODE", f'"{os.path.abspath(code)}"'),
        ]
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            compiled = pool.map(lambda source: self.compile(extension, source), extension.sources)
            objects = [each for result in compiled for each in result]
        self.compiler.link_shared_object(
            objects,
            self.get_ext_fullpath(extension.name),
            libraries=extension.libraries,
            extra_postargs=extension.extra_link_args,
            build_temp=self.build_temp,
            target_lang="c",
        )

    def compile(self, extension, source):
        return self.compiler.compile(
            [source],
            output_dir=self.build_temp,
            macros=extension.define_macros,
            include_dirs=extension.include_dirs,
            extra_postargs=extension.extra_compile_args,
            depends=extension.depends,
        )

    @staticmethod
    def write_app(path):
        with open("src/python/app.py") as file:
            code = compile(file.read(), "<cserve>", "exec", dont_inherit=True, optimize=0)
        with open(path, "wb") as file:
            file.write(marshal.dumps(code))


class Ship(sdist):
    def make_distribution(self):
        self.filelist.extend(shipped())
        self.filelist.sort()
        self.filelist.remove_duplicates()
        super().make_distribution()


class Backend(build_meta._BuildMetaBackend):
    """setuptools, without a setup.py to run."""

    def run_setup(self, setup_script="setup.py"):
        sys.argv[0] = setup_script
        module = setuptools.Extension(
            "cserve._core",
            sources(),
            include_dirs=["include"],
            libraries=LIBRARIES,
            depends=headers(),
            extra_compile_args=FLAGS,
            extra_link_args=["-Wl,-z,relro,-z,now"],
        )
        setuptools.setup(ext_modules=[module], cmdclass={"build_ext": Build, "sdist": Ship})


_backend = Backend()
build_wheel = _backend.build_wheel
build_sdist = _backend.build_sdist
build_editable = _backend.build_editable
get_requires_for_build_wheel = _backend.get_requires_for_build_wheel
get_requires_for_build_sdist = _backend.get_requires_for_build_sdist
get_requires_for_build_editable = _backend.get_requires_for_build_editable
prepare_metadata_for_build_wheel = _backend.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = _backend.prepare_metadata_for_build_editable
