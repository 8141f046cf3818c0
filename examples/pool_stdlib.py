"""Parse every file of the standard library: with a progress bar, a time limit for each file, a crash and a second attempt.

Usage: pool_stdlib.py [FILES]     how many files to parse; all if not given
"""

import ast
import os
import signal
import sys
import sysconfig
import tempfile
import warnings
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from procession import Pool, SharedDict, TaskTimeout

attempts = SharedDict()  # goes to the workers with the function that uses it


def parse(path):
    """How often each kind of node is in the file."""
    if attempts.increment("so far") == 1:
        os.kill(os.getpid(), signal.SIGKILL)  # the very first file takes its worker with it, as a bug in C code would
    return Counter(type(node).__name__ for node in ast.walk(ast.parse(path.read_bytes())))


def print_progress(done, total):
    print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def collect(files, results):
    """All counts, and what went wrong with how many files. A failure comes in place of its result."""
    nodes, failures = Counter(), Counter()
    for file in files:
        try:
            nodes += next(results)
        except TaskTimeout as error:
            print(f"{file.name}: {error}")
        except (SyntaxError, ValueError) as error:  # the library has some files that are no Python, for its tests
            failures[type(error).__name__] += 1
    return nodes, failures


top = Path(sysconfig.get_path("stdlib"))
files = sorted(file for file in top.rglob("*.py") if "site-packages" not in file.parts and file.is_file())
files = files[: int(sys.argv[1])] if len(sys.argv) > 1 else files
with tempfile.TemporaryDirectory() as folder, Pool(initializer=warnings.simplefilter, initargs=("ignore",)) as pool:
    os.mkfifo(endless := Path(folder, "endless.py"))  # nobody writes to it: who reads it waits for ever
    files.insert(len(files) // 2, endless)
    bar = True if find_spec("rich") else print_progress
    nodes, failures = collect(files, pool.with_options(timeout=3, retries=2).imap(parse, files, progress=bar))
print(f"{len(files) - 1 - failures.total():,} of {len(files) - 1:,} files parsed; not parsed: {dict(failures)}")
print(f"{attempts['so far'] - len(files)} file needed a second attempt")
print(f"{nodes.total():,} nodes; most often", *(f"{kind} ({count:,})" for kind, count in nodes.most_common(3)))
