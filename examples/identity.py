"""Who is who: every process has a number of its own and knows the number of its parent."""

import os

import procession
from procession import Process


def introduce(expected_parent):
    me, parent = procession.current_process(), procession.parent_process()
    print(f"child:  I am {me.name}, process {os.getpid()}; my parent is {parent.name}, process {os.getppid()}")
    print(f"child:  my parent is who started me: {os.getppid() == parent.pid == expected_parent}")
    print(f"child:  my parent is alive: {parent.is_alive()}")


print(f"parent: I am {procession.current_process().name}, process {os.getpid()}")
print(f"parent: I was started by nobody that procession knows: {procession.parent_process() is None}")

child = Process(target=introduce, args=(os.getpid(),))
print(f"parent: before start the child's number is {child.pid}")
child.start()
print(f"parent: I started process {child.pid}")
child.join()
print(f"parent: the numbers differ: {child.pid != os.getpid()}")
