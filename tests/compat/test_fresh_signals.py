"""A child starts with the signal handlers and the mask of a fresh process, whatever its parent did with its own."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., str]


def test_no_handler_and_no_mask_is_inherited(run: Run, method: str) -> None:
    out = run(
        """
        import multiprocessing, os, signal, socket, sys

        def facts(queue):
            called = [s for s in signal.valid_signals() if callable(signal.getsignal(s))]
            default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            queue.put(([s.name for s in called], default, len(blocked), signal.set_wakeup_fd(-1)))

        if __name__ == "__main__":
            multiprocessing.set_start_method(sys.argv[1])
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            signal.set_wakeup_fd(ours.fileno())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                signal.signal(number, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGHUP])
            queue = multiprocessing.SimpleQueue()
            child = multiprocessing.Process(target=facts, args=(queue,))
            child.start()
            print(queue.get())
            child.join()
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            print(child.exitcode, len(blocked), signal.set_wakeup_fd(-1) == ours.fileno())
            ours.close()
            theirs.close()
        """,
        method,
    )
    assert out == "(['SIGINT'], True, 0, -1)\n0 2 True\n"


def test_terminate_ends_a_child_of_a_parent_that_blocks_and_handles_sigterm(run: Run, method: str) -> None:
    out = run(
        """
        import multiprocessing, signal, sys, time

        def work(event):
            event.set()
            time.sleep(60)

        if __name__ == "__main__":
            multiprocessing.set_start_method(sys.argv[1])
            event = multiprocessing.Event()  # (starts the resource tracker, which unblocks SIGTERM)
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            child = multiprocessing.Process(target=work, args=(event,))
            child.start()
            event.wait(20)
            child.terminate()
            child.join(20)
            print(child.exitcode)
        """,
        method,
    )
    assert out == "-15\n"
