"""`compat.install()` and `uninstall()`: what is replaced, what is given back, and what they do to a program."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., str]

def test_uninstall_gives_everything_back(run: Run) -> None:
    out = run(
        """
        import multiprocessing, multiprocessing.forkserver, procession
        from multiprocessing import context, pool, process

        def everything():
            modules = (multiprocessing, multiprocessing.forkserver, context, pool, process)
            found = {(m.__name__, name): value for m in modules for name, value in vars(m).items()
                     if not name.startswith("__")}
            found |= {("default", name): value for name, value in vars(context._default_context).items()}
            found |= {("Process", name): value for name, value in vars(context.Process).items()}
            return found | {"classes": (type(context._default_context), context.Process.__mro__)}

        from procession import compat
        before = everything()
        compat.install()
        compat.install()
        assert compat.installed()
        assert everything() != before
        assert issubclass(multiprocessing.Process, procession.Process)
        compat.uninstall()
        compat.uninstall()
        assert not compat.installed()
        assert everything() == before, [key for key, value in everything().items() if before.get(key) != value]
        assert multiprocessing.get_start_method(allow_none=True) is None
        print("same")
        """,
        install=False,
    )
    assert out == "same\n"


def test_a_start_method_that_was_chosen_before_stays(run: Run) -> None:
    out = run(
        """
        import multiprocessing
        multiprocessing.set_start_method("spawn")
        from procession import compat
        compat.install()
        print(multiprocessing.get_start_method(), multiprocessing.get_context().Process.__module__)
        """,
        install=False,
    )
    assert out == "spawn procession.process.context\n"


def test_what_was_imported_before_makes_our_processes_too(run: Run) -> None:
    out = run(
        """
        from multiprocessing import Pool, get_context, pool
        from concurrent.futures import ProcessPoolExecutor
        from procession import compat
        compat.install()
        with Pool(1) as one, pool.Pool(1) as two, ProcessPoolExecutor(1) as three:
            three.submit(int).result()
            made = [one._pool[0], two._pool[0], *three._processes.values(), get_context("fork").Process()]
            print({type(process).__module__ for process in made})
        """,
        install=False,
    )
    assert out == "{'procession.process.context'}\n"


def test_a_class_that_was_derived_before_is_ours_too(run: Run) -> None:
    out = run(
        """
        import multiprocessing, procession, sys

        class Older(multiprocessing.Process):
            def __init__(self, queue):
                super().__init__(name="older")
                self.queue = queue

            def run(self):
                self.queue.put((self.name, isinstance(self, procession.Process)))

        from procession import compat
        compat.install()
        for method in ("fork", "spawn", "forkserver"):
            multiprocessing.set_start_method(method, force=True)
            older = Older(multiprocessing.SimpleQueue())
            older.start()
            print(older.queue.get(), older.state in ("ready", "running", "blocked", "exited"))
            older.join()
        """,
        install=False,
    )
    assert out == "('older', True) True\n" * 3


def test_both_packages_share_the_start_method(run: Run) -> None:
    out = run(
        """
        import multiprocessing, procession
        print(multiprocessing.get_start_method(allow_none=True), multiprocessing.get_all_start_methods())
        procession.set_start_method("zygote")
        print(procession.get_start_method(), multiprocessing.get_start_method())
        multiprocessing.set_start_method("spawn", force=True)
        print(procession.get_start_method(), multiprocessing.get_start_method())
        """
    )
    assert out == "None ['fork', 'spawn', 'forkserver']\nzygote forkserver\nspawn spawn\n"


PROGRAM = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Lock, Manager, Pool, Process, Queue, Value, set_start_method

def square(x):
    return x * x

def work(queue, shared, lock, count, i):
    with lock:
        count.value += i
    shared[i] = square(i)
    queue.put(i)

class Worker(Process):
    def __init__(self, queue):
        super().__init__()
        self.queue = queue

    def run(self):
        self.queue.put(self.name)

if __name__ == "__main__":
    set_start_method(sys.argv[1])
    with Pool(2) as pool:
        print(pool.map(square, range(4)))
    with ProcessPoolExecutor(2) as executor:
        print(list(executor.map(square, range(4))))
    with Manager() as manager:
        queue, shared, lock, count = Queue(), manager.dict(), Lock(), Value("i", 0)
        processes = [Process(target=work, args=(queue, shared, lock, count, i)) for i in range(4)]
        for process in processes:
            process.start()
        print(sorted(queue.get(timeout=20) for _ in processes))
        for process in processes:
            process.join()
        print(sorted(shared.items()), count.value, [process.exitcode for process in processes])
    worker = Worker(Queue())
    worker.start()
    print(worker.queue.get(timeout=20) == worker.name)
    worker.join()
"""


def test_an_unmodified_program(run: Run, method: str) -> None:
    squares = "[0, 1, 4, 9]\n"
    out = run(PROGRAM, method)
    assert out == squares * 2 + "[0, 1, 2, 3]\n[(0, 0), (1, 1), (2, 4), (3, 9)] 6 [0, 0, 0, 0]\nTrue\n"


def test_contexts_in_the_children_of_children(run: Run, method: str) -> None:
    """Both ways to choose a method: for the program, and by a context. It is in effect in each generation."""
    out = run(
        """
        import multiprocessing, os, sys

        def generation(depth, queue, parent):
            ours = type(multiprocessing.get_context()).__module__.startswith("procession.")
            queue.put((depth, (multiprocessing.get_start_method(), os.getppid() == parent, ours)))
            if depth < 3:
                child = multiprocessing.Process(target=generation, args=(depth + 1, queue, os.getpid()))
                child.start()
                child.join()
                assert child.exitcode == 0

        if __name__ == "__main__":
            chosen = multiprocessing.get_context(sys.argv[1])
            queue = chosen.Queue()
            first = chosen.Process(target=generation, args=(1, queue, os.getpid()))
            first.start()
            by_context = [queue.get(timeout=20) for _ in range(3)]
            first.join()
            multiprocessing.set_start_method(sys.argv[1])
            generation(0, queue, os.getppid())
            found = by_context + [queue.get(timeout=20) for _ in range(4)]
            print(sorted({depth for depth, _ in found}), {facts for _, facts in found})
        """,
        method,
    )
    assert out == f"[0, 1, 2, 3] {{('{method}', True, True)}}\n"


def test_a_program_with_no_main_guard(run: Run, method: str) -> None:
    out = run(
        """
        import multiprocessing, sys
        multiprocessing.set_start_method(sys.argv[1])
        queue = multiprocessing.Queue()
        process = multiprocessing.Process(target=lambda: queue.put("from the child"))
        process.start()
        print(queue.get(timeout=20))
        process.join()
        """,
        method,
    )
    assert out == "from the child\n"


def test_the_fork_server_is_the_zygote(run: Run) -> None:
    out = run(
        """
        import multiprocessing, os, signal
        from multiprocessing.forkserver import _forkserver

        def identity(queue):
            queue.put(os.getppid())

        multiprocessing.set_start_method("forkserver")
        print(_forkserver._forkserver_pid)
        _forkserver.ensure_running()
        first = _forkserver._forkserver_pid
        os.kill(first, signal.SIGKILL)
        queue = multiprocessing.SimpleQueue()
        process = multiprocessing.Process(target=identity, args=(queue,))
        process.start()
        print(queue.get() == os.getpid(), _forkserver._forkserver_pid != first)
        process.join()
        _forkserver._stop()
        print(_forkserver._forkserver_pid)
        """
    )
    assert out == "None\nTrue True\nNone\n"


def test_the_stand_in_pickles_and_refuses_as_the_original(run: Run) -> None:
    out = run(
        """
        import multiprocessing, pickle
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            assert context.get_context() is context
            assert pickle.loads(pickle.dumps(context)).get_start_method() == method
            assert type(context).__name__.lower() == method + "context"
            assert context.Process.__name__.lower() == method + "process"
            assert getattr(multiprocessing.context, type(context).__name__) is type(context)
        for mistake in (lambda: multiprocessing.get_context("thread"), lambda: context.set_start_method("fork")):
            try:
                mistake()
            except ValueError as error:
                print(error)
        """
    )
    assert out == "cannot find context for 'thread'\ncannot set start method of concrete context\n"
