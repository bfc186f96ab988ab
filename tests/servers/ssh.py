"""SSH servers on loopback, OpenSSH's where it is installed and asyncssh's; one key may write, one read."""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from threading import Thread
from typing import Any, Self

import asyncssh

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
USER = getpass.getuser()


class Keys:
    """Files of keys in a folder: the server's, one to write, one to read alone, one that it does not know."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        for name in ("host", "writer", "reader", "stranger"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(folder / name)
            key.write_public_key(folder / f"{name}.pub")
            (folder / name).chmod(0o600)
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    def public(self, name: str) -> str:
        return (self.folder / f"{name}.pub").read_text(encoding="utf-8").strip()


class OpenSSH:
    """Debian's or another sshd, with a configuration of its own: `with OpenSSH(folder) as server:`."""

    def __init__(self, folder: Path) -> None:
        self.keys = Keys(folder / "keys")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        known = folder / "authorized_keys"
        known.write_text(
            f"{self.keys.public('writer')}\n"
            f'command="internal-sftp -R" {self.keys.public("reader")}\n',
            encoding="utf-8",
        )
        self._config = folder / "sshd_config"
        self._config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.keys['host']}\n"
            f"PidFile none\nAuthorizedKeysFile {known}\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n"
            "Subsystem sftp internal-sftp\n",
            encoding="utf-8",
        )
        self._log = folder / "sshd.log"

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # as the service does: sshd wants it as root
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self._config)], stderr=log
            )
        until = time.monotonic() + 30
        while "Server listening" not in self._log.read_text(encoding="utf-8"):
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


class AsyncSSH:
    """asyncssh's SFTP server in a thread, with the same keys: `with AsyncSSH(folder) as server:`."""

    def __init__(self, folder: Path) -> None:
        self.keys = Keys(folder / "keys")
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = self._run(self._listen())
        self.port: int = self._server.get_port()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._run(self._server.wait_closed())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(self.keys["host"])],
            server_factory=lambda: _Server(self.keys),
            sftp_factory=_Files,
        )

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Server(asyncssh.SSHServer):
    def __init__(self, keys: Keys) -> None:
        self._known = {
            asyncssh.import_public_key(keys.public(name)): name for name in ("writer", "reader")
        }

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._conn.set_extra_info(may=self._known.get(key))
        return key in self._known


class _Files(asyncssh.SFTPServer):
    """Files of this machine; whoever may only read is refused what would change any."""

    def __init__(self, channel: asyncssh.SSHServerChannel[Any]) -> None:
        super().__init__(channel)
        self._reads = channel.get_extra_info("connection").get_extra_info("may") == "reader"

    def _refuse(self) -> None:
        if self._reads:
            raise asyncssh.SFTPPermissionDenied("read-only")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if pflags & ~asyncssh.FXF_READ:
            self._refuse()
        return super().open(path, pflags, attrs)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self._refuse()
        return super().mkdir(path, attrs)

    def remove(self, path: bytes) -> Any:
        self._refuse()
        return super().remove(path)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._refuse()
        return super().posix_rename(oldpath, newpath)
