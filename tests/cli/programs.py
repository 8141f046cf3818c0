"""Programs that tests run under `procession run`, and pieces of them."""

#: Gives a program ``note(name, pid)``: one line in the file "pids" of its directory, which is the test's.
NOTE = """
import os

def note(name, pid):
    fd = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{name} {pid}\\n".encode())
    os.close(fd)

FILE = os.path.abspath("pids")
"""

#: Starts one descendant of every kind that there is, notes all, and then does what `THEN` says.
EVERY_KIND = (
    NOTE
    + """
import multiprocessing, signal, subprocess, sys, time
from procession.testing.saboteurs import leave_descendants

def child():
    note("grandchild", subprocess.Popen(["sleep", "3600"]).pid)
    note("process", os.getpid())
    time.sleep(3600)

multiprocessing.Process(target=child, daemon=True).start()
note("plain", subprocess.Popen(["sleep", "3600"]).pid)
note("session", subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)
note("no-environment", subprocess.Popen(["/bin/sleep", "3600"], env={}).pid)
note("headless", *leave_descendants("headless"))
# the daemon's way, with nothing that leads back: no parent, a session of its own, an empty environment
pid = os.fork()
if pid == 0:
    os.setsid()
    again = os.fork()
    if again == 0:
        os.execve("/bin/sleep", ["sleep", "3600"], {})
    note("daemon", again)
    os._exit(0)
os.waitpid(pid, 0)
while len(open(FILE).read().splitlines()) < 7:
    time.sleep(0.005)
note("program", os.getpid())
THEN
"""
)
KINDS = ("process", "grandchild", "plain", "session", "no-environment", "headless", "daemon")
