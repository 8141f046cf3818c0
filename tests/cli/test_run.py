"""`procession run` runs a program as python does: whatever can be seen of it is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Code, and what it is about.
SAME = {
    "nothing": "pass",
    "exit code": "import sys; sys.exit(3)",
    "exit text": "import sys; sys.exit('a text')",
    "exit none": "import sys; sys.exit()",
    "exit true": "raise SystemExit(True)",
    "exception": "def f():\n    1 / 0\nf()",
    "syntax error": "x = (1,\ny = 2",
    "keyboard interrupt": "raise KeyboardInterrupt",
    "broken excepthook": "import sys\nsys.excepthook = lambda *a: 1 / 0\nint('x')",
    "own signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "abort": "import os; os.abort()",
    "arguments": "import sys; print(sys.argv, sys.path, sys.stdin.read())",
    "names": "import sys; print(__name__, sorted(globals()), bool(__spec__), __package__, __doc__)",
    "main module": "import sys, __main__; print(__main__.__dict__ is globals(), sys.modules['__main__'] is __main__)",
    "stack": "import traceback, sys; print(traceback.format_stack(), sys._getframe().f_back)",
    "order at exit": "import atexit, threading, time\natexit.register(print, 'atexit')\n"
    "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nprint('end')",
    "descriptors": "import os; print(open('/dev/null').fileno())",
    "environment": "import os; print(sorted(k for k in os.environ if k != 'PROCESSION_MEMBER'), os.environ['PYTHONPATH'])",
    "signals": "import signal; print([signal.getsignal(s) for s in (1, 2, 13, 15, 17)], signal.pthread_sigmask(0, []))",
    "group": "import os; print(os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0) == os.getsid(os.getppid()))",
}


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    code = done.returncode
    return (code if code >= 0 else 128 - code), done.stdout, done.stderr


@pytest.mark.parametrize("what", SAME)
def test_script_is_as_under_python(run: Any, program: Any, what: str) -> None:
    path = program.script(SAME[what])
    assert outcome(run("-q", path, "a", "-b", stdin="text")) == outcome(program.run(path, "a", "-b", stdin="text"))


@pytest.mark.parametrize("what", SAME)
def test_code_is_as_under_python(run: Any, program: Any, what: str) -> None:
    words = ("-c", SAME[what], "-q", "--report")
    assert outcome(run("-q", *words, stdin="text")) == outcome(program.run(*words, stdin="text"))


@pytest.mark.parametrize("what", ["arguments", "exception", "exit code", "names"])
def test_standard_input_is_as_under_python(run: Any, program: Any, what: str) -> None:
    assert outcome(run("-q", "-", "a", stdin=SAME[what])) == outcome(program.run("-", "a", stdin=SAME[what]))


@pytest.mark.parametrize("what", ["arguments", "exception", "names"])
@pytest.mark.parametrize("name", ["package.module", "package"])
def test_module_is_as_under_python(run: Any, program: Any, tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    file = "module.py" if "." in name else "__main__.py"
    (tmp_path / "package" / file).write_text(SAME[what] + "\nprint(__spec__.name)")
    assert outcome(run("-q", "-m", name, "--help")) == outcome(program.run("-m", name, "--help"))


def test_directory_and_zip_file_are_as_under_python(run: Any, program: Any, tmp_path: Path) -> None:
    import zipapp

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text("import sys; print(sys.argv, sys.path, __file__)")
    zipapp.create_archive(tmp_path / "folder", tmp_path / "folder.pyz")
    for path in ("folder", "folder.pyz"):
        done = run("-q", path, "x")
        assert outcome(done) == outcome(program.run(path, "x"))
        assert done.returncode == 0


def test_a_script_of_no_plain_name(run: Any, program: Any, tmp_path: Path) -> None:
    path = tmp_path / "-m x.py"
    path.write_text("print(1)")
    assert run("-q", "--", "-m x.py").stdout == "1\n"


def test_multiprocessing_is_procession(run: Any) -> None:
    done = run("-q", "-c", "import multiprocessing as m, procession; print(issubclass(m.Process, procession.Process))")
    assert done.stdout == "True\n"


def test_a_real_sitecustomize_still_runs(run: Any, program: Any, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins; builtins.customized = True")
    program.env["PYTHONPATH"] = str(tmp_path / "site") + os.pathsep + program.env["PYTHONPATH"]
    done = run("-q", "-c", "import sys; print(customized, sys.modules['sitecustomize'].__file__)")
    assert done.stdout.split() == ["True", str(tmp_path / "site" / "sitecustomize.py")]


def test_inherited_descriptors_are_the_programs(program: Any, tmp_path: Path) -> None:
    """As a shell's process substitution leaves them, and at numbers that we use ourselves."""
    (tmp_path / "text").write_text("inherited")
    with open(tmp_path / "text") as file:
        code = "import os; print(os.read(4, 99), os.pread(64, 9, 0))"
        command = [sys.executable, "-m", "procession", "run", "-q", "-c", code]
        words = ["/bin/sh", "-c", 'exec 4<&"$0" 64<&"$0"; exec "$@"', str(file.fileno()), *command]
        bash = ["bash", *words[1:]]
        done = subprocess.run(bash, env=program.env, pass_fds=[file.fileno()], capture_output=True, text=True, timeout=30)
    assert done.stdout == "b'inherited' b'inherited'\n", done.stderr


def test_a_closed_pipe_is_seen_closed(start: Any) -> None:
    """The runner holds no end of the program's streams open."""
    done = start("-q", "-c", "import os, time; os.close(1); time.sleep(3600)")
    assert done.stdout.read() == ""
    done.kill()


REFUSED = {
    "no such script": (["nothing.py"], "'nothing.py'"),
    "no such module": (["-m", "no_such_module"], "'no_such_module'"),
    "no such module below": (["-m", "json.no_such"], "'json.no_such'"),
    "not a package": (["-m", "os.path.x"], "'os.path.x'"),
    "not to be executed": (["-m", "email"], "__main__"),
    "empty name": (["-m", ""], "''"),
    "directory": (["."], "__main__.py"),
    "nothing given": ([], "no script"),
    "no code given": (["-c"], "no code"),
    "no such option": (["--no-such", "x.py"], "--no-such"),
    "nowhere to report": (["--report", "no/such/folder", "-c", "1"], "no/such/folder"),
    "gap in the name": (["-m", "a..b"], "'a..b'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line(run: Any, tmp_path: Path, what: str) -> None:
    words, says = REFUSED[what]
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_script_is_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "secret.py"
    path.touch(0)
    done = run(str(path))
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


def test_checking_a_module_imports_nothing(run: Any, tmp_path: Path) -> None:
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "__init__.py").write_text("print('imported')")
    done = run("-m", "loud.missing")
    assert (done.returncode, done.stdout) == (2, "")


def test_help_and_completion(program: Any) -> None:
    done = program.run("-m", "procession", "run", "--help")
    assert done.returncode == 0
    assert "left over" in done.stdout
    for shell in ("bash", "zsh", "fish"):
        script = program.run("-m", "procession", "completion", shell)
        assert script.returncode == 0
        assert "_PROCESSION_COMPLETE" in script.stdout
