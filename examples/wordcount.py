"""Count the words of this Python's own standard library, with one process for each processor.

Usage: wordcount.py [ROWS]     how many rows of the table to print; 20 if not given
"""

import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import procession
from procession import Process

WORD = re.compile(r"[^\W\d_]+")


def sources():
    """The standard library's source files, the biggest first."""
    top = Path(sysconfig.get_path("stdlib"))
    files = [file for file in top.rglob("*.py") if "site-packages" not in file.parts and file.is_file()]
    return sorted(files, key=lambda file: file.stat().st_size, reverse=True)


def count(files, result):
    words = Counter()
    for file in files:
        words.update(WORD.findall(file.read_text(encoding="utf-8", errors="replace").lower()))
    result.send(words)


def start_counting(files):
    """Start a process for `files`; the process, and where its result will come from."""
    result, theirs = procession.Pipe(duplex=False)
    process = Process(target=count, args=(files, theirs), name=f"count {len(files)} files")
    process.start()
    theirs.close()  # the child has the only writing end: should it die, recv() raises EOFError
    return process, result


def print_table(words, rows):
    width = len(f"{max(words.values(), default=0):,}")
    for place, (word, times) in enumerate(words.most_common(rows), 1):
        print(f"{place:{len(str(rows))}}  {times:{width},}  {word}")


rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20
files = sources()
shares = [files[first :: procession.cpu_count()] for first in range(procession.cpu_count())]
words = Counter()
counting = [start_counting(share) for share in shares]
for process, result in counting:
    words += result.recv()  # drain first, then join: a child can end only when its result has been taken
    process.join()
print_table(words, rows)
print(f"{words.total():,} words, {len(words):,} different, in {len(files):,} files, with {len(counting)} processes")
