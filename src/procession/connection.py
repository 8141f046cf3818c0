"""`procession.connection`, as `multiprocessing.connection`: what `procession.share` has of connections, in one module."""

from procession.errors import AuthenticationError, BufferTooShort
from procession.share.connection import Connection, Pipe, wait
from procession.share.listener import Client, Listener, answer_challenge, deliver_challenge

__all__ = [
    "AuthenticationError", "BufferTooShort", "Client", "Connection", "Listener", "Pipe", "answer_challenge",
    "deliver_challenge", "wait",
]  # fmt: skip
