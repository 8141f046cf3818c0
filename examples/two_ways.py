"""Two ways to say what a process does: hand it a function, or write a class with a run() method."""

import os

from procession import Process


def greet(name, mark="."):
    print(f"a function greets {name}{mark}")


class Greeter(Process):
    def __init__(self, who):
        super().__init__()  # first: it gives the object all that a process has
        self.who = who

    def run(self):
        print(f"a {type(self).__name__} greets {self.who} from a process of its own: {os.getpid() != script}")


script = os.getpid()

by_function = Process(target=greet, args=("Ada",), kwargs={"mark": "!"})  # args is a tuple: mind the comma
by_function.start()
by_function.join()

by_class = Greeter("Grace")
by_class.start()  # start() makes the process, which calls run()
by_class.join()

in_place = Greeter("nobody")
in_place.run()  # run() alone makes no process: it is an ordinary call, here

by_lambda = Process(target=lambda: print("a lambda will do, too."))
by_lambda.start()
by_lambda.join()
