"""Reading input in a child. Unless it is given something to read, there is nothing: input() raises EOFError at once."""

import tempfile

from procession import Process


def interview():
    name = input()
    age = int(input())
    print(f"{name} will be {age + 1} next year")


def try_to_read():
    try:
        input()
    except EOFError as error:
        print("EOFError:", error)


def count_lines():
    lines = 0
    try:
        while True:
            input()
            lines += 1
    except EOFError:
        print("lines read:", lines)


def finish(process):
    process.start()
    process.join()


finish(Process(target=try_to_read))
finish(Process(target=interview, stdin="Ada\n36\n"))  # the text itself
finish(Process(target=interview, stdin=b"Grace\n85\n"))  # or bytes

with tempfile.TemporaryFile("w+") as file:  # or an open file, a pipe, a descriptor, the terminal (sys.stdin)
    file.write("one\ntwo\nthree\n")
    file.seek(0)
    finish(Process(target=count_lines, stdin=file))
