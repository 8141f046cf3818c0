"""Run by the interpreter of the program under `procession run`, before the program: makes it a member of the family.

So the interpreter itself runs the script, module or code, as it always does, and no frame, name or file of ours is
between
the two. Whatever real `sitecustomize` there is runs afterwards.
"""

import os
import sys


def _enter() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
    sys.path[:] = [root, *(entry for entry in sys.path if entry != folder)]
    try:
        from procession.cli import program

        program.enter()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(2)  # (the site module would only print the error, and go on without us)
    del sys.path[0]
    if root not in sys.path:
        sys.path.append(root)  # we are used from a place that the program's path lacks: what it starts needs us too


_enter()
del sys.modules["sitecustomize"]
import sitecustomize  # noqa: F401  (the real one; when there is none, the site module expects just this error)
