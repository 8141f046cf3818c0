"""Each process has a memory of its own: what a child changes, it changes for itself."""

from procession import Process, SimpleQueue

number = 100
words = ["parent"]


def change(argument, answers):
    global number
    number -= 1
    words.append("child")
    argument.append("child")
    answers.put((number, words, argument))


answers = SimpleQueue()
children = []
argument = ["argument"]
for _ in range(3):
    child = Process(target=change, args=(argument, answers))
    child.start()
    children.append(child)

for _ in children:
    print("a child has ", *answers.get())
for child in children:
    child.join()
print("the parent has", number, words, argument)
print("What a child has to say, it must send.")
