"""Start a fresh interpreter that runs one of our own functions: the zygote, or a child by the method ``spawn``."""

from __future__ import annotations

import os
import sys
from typing import Any

from procession import _native

__all__ = ["open_standard_fds", "run_function"]

_CODE = "import sys; sys.path[:] = {path!r}; from procession.process.{module} import {function}; {function}()"


def open_standard_fds() -> list[int]:
    """Descriptors 0, 1 and 2, with -1 for one that is closed."""
    return [fd if _is_open(fd) else -1 for fd in (0, 1, 2)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def run_function(module: str, function: str, control: int, parent_pidfd: int) -> int:
    """Run ``procession.process.MODULE.FUNCTION()`` in a new interpreter with our flags and our ``sys.path``; return its pid.

    It gets our standard streams, the control socket as descriptor 3, the commons as 4, our pidfd as 5. Takes about 1 ms
    (vfork and exec: the size of this process does not matter). Raises OSError.
    """
    import subprocess

    spawn: Any = sys.modules.get("multiprocessing.spawn")  # (where set_executable() notes it; not worth an import otherwise)
    executable = os.fsencode((spawn and spawn.get_executable()) or sys.executable)
    path = [p if p else os.getcwd() for p in sys.path if isinstance(p, str)]
    code = _CODE.format(path=path, module=module, function=function)
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    argv = [executable, *map(os.fsencode, flags), b"-c", os.fsencode(code)]
    env = [key + b"=" + value for key, value in os.environb.items() if key != b"LD_BIND_NOW"]
    env.append(b"LD_BIND_NOW=1")  # bind every symbol once, in the helper, and not anew in each child
    fds = [*open_standard_fds(), control, _native.commons_fd(), parent_pidfd]
    return _native.launch(executable, argv, env, fds, True)
