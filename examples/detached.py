"""Detached: the one way to outlive one's parent, and it has to be said."""

import os

import procession
from procession import Process


def serve(requests):
    requests.send(("I serve", os.getppid()))
    while True:
        try:
            question = requests.recv()
        except EOFError:
            return  # nobody can ask any more
        requests.send((f"you asked: {question}", os.getppid()))


def found_a_server(requests, enough):
    server = Process(target=serve, args=(requests,), name="server", detached=True)
    server.start()
    enough.wait()
    # We end now. A child that is not detached would be waited for; one whose parent is killed would be ended.


ours, theirs = procession.Pipe()
enough = procession.Event()
founder = Process(target=found_a_server, args=(theirs, enough))
founder.start()
theirs.close()

word, parent = ours.recv()
print(f"the server says {word!r}; its parent is the founder: {parent == founder.pid}")
enough.set()
founder.join()
print("the founder has ended, exit code", founder.exitcode)

ours.send("are you there?")
answer, parent = ours.recv()
print(f"the server says {answer!r}; its parent is still the founder: {parent == founder.pid}")
ours.close()
