"""Only what pyproject.toml cannot say: the extension's sources and how they are compiled."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "procession._native",
            sources=sorted(glob("native/*.c") + glob("native/py/*.c")),
            depends=sorted(glob("native/*.h") + glob("native/py/*.h")),
            extra_compile_args=["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
        )
    ]
)
