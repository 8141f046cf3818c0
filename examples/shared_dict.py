"""A dict and a list that processes share without a server; nobody's death harms them, and they go with their last user."""

import threading

from procession import Event, Process, SharedDict, SharedList

TEXTS = ["the cat sat on the mat", "the dog sat on the cat", "a mat is a mat"]


def count(texts, words):
    """Whoever is free takes the next text."""
    while texts:
        try:
            text = texts.pop(0)
        except IndexError:
            return
        for word in text.split():
            words.increment(word)


def be_killed(words, begun):
    words["the"] = [1, 2]
    while True:
        words["busy"] = "x" * 100_000
        begun.set()


texts, words = SharedList(TEXTS), SharedDict()
counters = [Process(target=count, args=(texts, words)) for _ in range(2)]
for counter in counters:
    counter.start()
for counter in counters:
    counter.join()
print(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:3])

begun = Event()
victim = Process(target=be_killed, args=(words, begun))
victim.start()
begun.wait()
victim.kill()
victim.join()
print("killed in it, and all is whole:", words["the"], len(words["busy"]))

numbers = words["the"]
numbers.append(3)
print("a value is a copy:", words["the"], "until it is assigned:", words.apply("the", lambda value: [*value, 3]))

words[1] = "one"
print("1, 1.0 and True are one key, as in a dict:", words[1.0], words[True])
try:
    words["lock"] = threading.Lock()
except TypeError as error:
    print(error, "- and it is not there:", "lock" in words)
