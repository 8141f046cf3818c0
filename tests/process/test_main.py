"""Targets out of ``__main__``, wherever ``__main__`` comes from, and objects of its classes on their way."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

METHODS = ["zygote", "fork", "spawn"]
FREE_METHODS = ["zygote", "spawn"]  # these never run the script again

BODY = """
import procession, sys
FACTOR = 3
class Thing:
    def __init__(self, n): self.n = n
    def grown(self): return Thing(self.n * FACTOR)
def helper(n): return n * FACTOR
def work(things, back):
    thing = things.get()
    assert isinstance(thing, Thing) and type(thing) is sys.modules["__main__"].Thing
    back.put([thing.grown(), helper(5), (lambda x: x + helper(x))(1)])
def closure(k):
    def inner(q): q.put(k * FACTOR)
    return inner
ctx = procession.get_context(METHOD)
"""
ACTION = """
things, back = ctx.Queue(), ctx.Queue()
p = ctx.Process(target=work, args=(things, back))
p.start()
things.put(Thing(7))
got = back.get(timeout=20)
assert type(got[0]) is Thing, type(got[0])
p.join()
q = ctx.SimpleQueue()
p2 = ctx.Process(target=closure(4), args=(q,)); p2.start(); c = q.get(); p2.join()
p3 = ctx.Process(target=lambda: q.put("lambda")); p3.start(); l = q.get(); p3.join()
print(got[0].n, got[1:], c, l, p.exitcode, p2.exitcode, p3.exitcode)
"""
WANT = "21 [15, 4] 12 lambda 0 0 0\n"


def source(method: str, guard: bool = False) -> str:
    action = ACTION
    if guard:
        action = 'if __name__ == "__main__":\n' + "".join(f"    {line}\n" for line in ACTION.strip().splitlines())
    return f"METHOD = {method!r}\n" + BODY + action


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["-c", "stdin", "script", "guarded", "module", "exec"])
def test_wherever_main_comes_from(program: Any, method: str, form: str) -> None:
    code = source(method, guard=form == "guarded")
    if form == "-c":
        done = program.run("-c", code)
    elif form == "stdin":
        done = program.run("-", stdin=code)
    elif form == "module":
        program.script(code, "a_module.py")
        done = program.run("-m", "a_module")
    elif form == "exec":  # as a notebook does: cells executed in __main__ under odd file names
        done = program.run("-c", f"""if 1:
            import types, sys
            main = types.ModuleType("__main__")
            sys.modules["__main__"] = main
            for i, cell in enumerate({[BODY, ACTION]!r}):
                main.__dict__.setdefault("METHOD", {method!r})
                exec(compile(cell, f"<ipython-input-{{i}}>", "exec"), main.__dict__)""")
    else:
        done = program.run(program.script(code))
    assert done.stdout == WANT, done.stderr[-3000:]
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize("method", METHODS)
def test_an_interactive_session(program: Any, method: str) -> None:
    session = program.start("-i", "-q", stdin=subprocess.PIPE)
    lines = [
        "import procession, sys",
        "def f(q): q.put(g() + 1)\n",
        "def g(): return 41\n",
        f"ctx = procession.get_context({method!r})",
        "q = ctx.SimpleQueue()",
        "p = ctx.Process(target=f, args=(q,)); p.start()",
        "print(q.get()); p.join(); print(p.exitcode)",
    ]
    out, err = session.communicate("\n".join(lines) + "\n", timeout=30)
    assert out.split() == ["42", "0"], err
    assert "Traceback" not in err


@pytest.mark.parametrize("method", FREE_METHODS)
def test_a_script_without_guard_is_run_once(program: Any, method: str) -> None:
    done = program.run_script(f"""
        import procession
        print("statement", flush=True)
        p = procession.get_context({method!r}).Process(target=print, args=("child",), kwargs=dict(flush=True))
        p.start()
        p.join()
    """)
    assert done.stdout == "statement\nchild\n", done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_a_subclass_in_main(program: Any, method: str) -> None:
    done = program.run_script(f"""
        import procession
        class Mine(procession.get_context({method!r}).Process):
            def __init__(self, word):
                super().__init__()
                self.word = word
            def run(self):
                print(self.word, type(self).__name__)
        p = Mine("hi"); p.start(); p.join()
    """)
    assert done.stdout == "hi Mine\n", done.stderr


def test_globals_are_seen_as_they_are_at_the_start(program: Any) -> None:
    done = program.run("-c", """if 1:
        import procession
        level = 1
        def show(): print(level)
        for level in (2, 3):
            p = procession.Process(target=show); p.start(); p.join()""")
    assert done.stdout == "2\n3\n", done.stderr


def test_a_child_can_start_a_child_with_functions_of_main(program: Any) -> None:
    done = program.run("-c", """if 1:
        import procession
        def inner(n): print("inner", n)
        def outer():
            p = procession.Process(target=inner, args=(5,)); p.start(); p.join()
            assert p.exitcode == 0
        p = procession.Process(target=outer); p.start(); p.join(); print(p.exitcode)""")
    assert done.stdout == "inner 5\n0\n", done.stderr


def test_this_interpreter_is_the_childs(program: Any) -> None:
    done = program.run("-c", """if 1:
        import procession, sys
        p = procession.Process(target=lambda: print(sys.executable, sys.version_info[:2])); p.start(); p.join()""")
    assert done.stdout == f"{sys.executable} {sys.version_info[:2]}\n", done.stderr
    assert os.path.exists(sys.executable)
