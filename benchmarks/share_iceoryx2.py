"""iceoryx2 as a queue of bytes: one copy in, one copy out, and a receiver that asks again and again (it is not woken).

Its files lie where we can remove them: what it leaves in /dev/shm and /tmp would otherwise stay.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["Service"]

_SAMPLES = 16
_LARGEST = 1 << 20


class Service:
    """One direction; each process opens it at its first put() or get()."""

    def __init__(self, name: str | None = None, folder: str | None = None) -> None:
        self._made = name is None
        self._folder = folder or tempfile.mkdtemp(prefix="iceoryx2-")
        self._name = name or Path(self._folder).name
        self._port: Any = None
        self._kept: tuple[Any, ...] = ()

    def __reduce__(self) -> object:
        return Service, (self._name, self._folder)

    def _open(self) -> Any:
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Error)
        config = iox.config.default()
        config.global_cfg.root_path = iox.Path.new(self._folder)
        config.global_cfg.prefix = iox.FileName.new(f"{self._name}_")
        mode = iox.SignalHandlingMode.Disabled
        node = iox.NodeBuilder.new().config(config).signal_handling_mode(mode).create(iox.ServiceType.Ipc)
        builder = node.service_builder(iox.ServiceName.new(self._name)).publish_subscribe(iox.Slice[ctypes.c_uint8])
        builder = builder.enable_safe_overflow(False).subscriber_max_buffer_size(_SAMPLES)
        service = builder.max_publishers(2).max_subscribers(2).open_or_create()
        self._kept = (node, service)
        return service

    def put(self, data: bytes) -> None:
        if self._port is None:
            self._port = self._publisher()
        sample = self._port.loan_slice_uninit(len(data))
        ctypes.memmove(sample.payload_ptr, data, len(data))
        sample.assume_init().send()

    def _publisher(self) -> Any:
        import iceoryx2 as iox

        service = self._open()
        builder = service.publisher_builder().initial_max_slice_len(_LARGEST)
        publisher = builder.backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered).create()
        while not service.dynamic_config.number_of_subscribers:  # what is sent before is received by nobody
            time.sleep(0.001)
        publisher.update_connections()
        return publisher

    def get(self) -> bytes:
        if self._port is None:
            self._port = self._open().subscriber_builder().buffer_size(_SAMPLES).create()
        while (sample := self._port.receive()) is None:
            continue
        data = bytes(sample.payload().as_memory_view())
        sample.delete()
        return data

    def close(self) -> None:
        """Of the process that made it, when the others have ended."""
        if self._made:
            shutil.rmtree(self._folder, ignore_errors=True)
            for left in Path("/dev/shm").glob(f"{self._name}_*"):
                os.unlink(left)
