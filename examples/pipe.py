"""A pipe has two ends: what is sent at one is received at the other, whole or not at all, and its end is seen."""

from procession import Pipe, Process


def double(connection):
    try:
        while True:
            connection.send(connection.recv() * 2)
    except EOFError:  # nobody is left at the other side
        print("child:  no more questions", flush=True)


def say_two_things(writer):
    writer.send("a whole message")
    writer.send(bytes(50_000_000))  # does not return before the receiver has taken nearly all of it


ours, theirs = Pipe()
child = Process(target=double, args=(theirs,))
child.start()
theirs.close()  # the child has its own: only so can its end be seen here
for question in (21, "ab", [1, 2]):
    ours.send(question)
    print("parent:", question, "->", ours.recv(), flush=True)
ours.send(bytes(1_000_000))
print("parent:", len(ours.recv()), "bytes came back", flush=True)
ours.close()
child.join()

reader, writer = Pipe(duplex=False)  # one direction only
child = Process(target=say_two_things, args=(writer,))
child.start()
writer.close()
print("parent:", reader.recv())
print("parent: there is more:", reader.poll(timeout=None))
child.kill()
child.join()
try:
    reader.recv()
except EOFError:
    print("parent: half a message is none, and the other side is gone")
