"""A TCP proxy on loopback that acts once in the middle of a transfer: cuts it, or kills its client."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, Self

PIECE = 1 << 16


class Proxy:
    """Passes on to a port of this machine; `with Proxy(port) as proxy:` runs it on `proxy.port`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._after: tuple[str, int, Callable[[], None]] | None = None
        self._passed = 0
        self._open: set[socket.socket] = set()
        self.done = threading.Event()  # what was to happen in mid-transfer has happened

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def after(
        self, way: Literal["sent", "received"], size: int, act: Callable[[], None] | None = None
    ) -> None:
        """Once the client has sent, or received, so many bytes from now on, call `act`, or cut."""
        self.done.clear()
        with self._lock:
            self._passed = 0
            self._after = (way, size, act or self.cut)

    def cut(self) -> None:
        """Break all connections, as a network does that goes away."""
        with self._lock:
            connections, self._open = self._open, set()
        for each in connections:
            with suppress(OSError):  # it had ended by itself
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for way, source, sink in (("sent", client, server), ("received", server, client)):
                threading.Thread(target=self._pass, args=(way, source, sink), daemon=True).start()

    def _pass(self, way: str, source: Any, sink: Any) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._count(way, len(piece))
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _count(self, way: str, size: int) -> None:
        with self._lock:
            if self._after is None or self._after[0] != way:
                return
            self._passed += size
            if self._passed < self._after[1]:
                return
            act, self._after = self._after[2], None
        act()
        self.done.set()
