"""Synchronisation: locks and meetings that survive the death of any process that uses them.

`locks`       Lock, RLock
`semaphores`  Semaphore, BoundedSemaphore
`rwlock`      RWLock: readers share, writers alone
`condition`, `event`, `barrier`
`several`     acquire_all: several locks at once, without deadlock
`people`      who holds and who waits, who died; what an acquirer is told
`tasks`       waiting in an event loop, or for several things at once, without a thread for each wait

The objects are handles of cells in the family's shared memory (native/cells.h). The algorithms are there, in C; here is
what they look like to a user.
"""
