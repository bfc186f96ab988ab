"""A WebDAV server on loopback, wsgidav: a folder to write to at /study, the same to read alone at /read."""

from pathlib import Path
from threading import Thread
from typing import Self

from cheroot.wsgi import Server
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

USER, PASSWORD = "me", "of-mine"


class WebDAV:
    """`with WebDAV(folder) as server:` runs it on `server.port`."""

    def __init__(self, folder: Path) -> None:
        app = WsgiDAVApp(
            {
                "provider_mapping": {
                    "/study": FilesystemProvider(str(folder)),
                    "/read": FilesystemProvider(str(folder), readonly=True),
                },
                "http_authenticator": {"accept_digest": False, "default_to_digest": False},
                "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
                "verbose": 0,
                "logging": {"enable": False},
            }
        )
        self._server = _Quiet(("127.0.0.1", 0), app)

    def __enter__(self) -> Self:
        self._server.prepare()
        self.port: int = self._server.bind_addr[1]
        Thread(target=self._server.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


class _Quiet(Server):
    def error_log(self, *_: object, **__: object) -> None:
        pass  # cut connections are meant
