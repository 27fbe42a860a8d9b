"""Debian's docker-registry on this machine, and a cable to it that can be cut."""

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# bcrypt of "p", cheap.
_HTPASSWD = "u:$2b$05$abcdefghijklmnopqrstuuqwWMzKt5N8p.u2GX5MuH1t19BMWuLOW\n"


@dataclass
class Server:
    """A running registry; `log` holds a line for each request."""

    host: str
    folder: Path
    log: Path

    def requests(self, words: str) -> list[str]:
        """The requests that hold `words`, as "METHOD path status"."""
        found = re.findall(r'"(\w+ \S+) HTTP/1.1" (\d+)', self.log.read_text())
        return [f"{line} {status}" for line, status in found if words in line]


@contextmanager
def docker_registry(
    folder: Path, *, auth: bool = False, pki: Path | None = None, clients: bool = False
) -> Iterator[Server]:
    """With `auth` for name u and password p; with `pki` by TLS, to known `clients` alone."""
    command = shutil.which("docker-registry")
    assert command, "docker-registry is missing: sh tests/install.sh"
    folder.mkdir(parents=True)
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}",
        "http:",
        "  addr: 127.0.0.1:0",
    ]
    if pki is not None:
        lines += [f"  tls:\n    certificate: {pki}/server.crt\n    key: {pki}/server.key"]
        lines += [f"    clientcas: [{pki}/ca.crt]"] if clients else []
    if auth:
        (folder / "htpasswd").write_text(_HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: us, path: {folder}/htpasswd}}}}")
    (folder / "config.yml").write_text("\n".join(lines))
    log = folder / "log"
    process = subprocess.Popen(
        [command, "serve", str(folder / "config.yml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        host = ""
        for line in process.stdout:
            if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
                host = found[1]
                break
        assert host, "docker-registry did not start"
        output = process.stdout

        def follow() -> None:
            with log.open("w") as file:
                for line in output:
                    file.write(line)
                    file.flush()

        following = threading.Thread(target=follow)
        following.start()
        yield Server(host, folder, log)
    finally:
        process.terminate()
        process.wait()
        following.join()
        process.stdout.close()


class Cable:
    """Leads to a server, and carries only so many bytes back until it is mended.

    `carried` counts them.
    """

    def __init__(self, server: str, limit: int) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.carried = 0
        self._limit: int | None = limit
        self._lock = threading.Lock()
        self._mended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        """Everything passes from now on; what was held is lost with its connections."""
        self._limit, self.carried = None, 0
        self._mended.set()

    def close(self) -> None:
        self._mended.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            for one, other, back in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=(one, other, back), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, back: bool) -> None:
        try:
            while data := one.recv(16384):
                if back:
                    with self._lock:
                        self.carried += len(data)
                        held = self._limit is not None and self.carried > self._limit
                    if held:
                        self._mended.wait()
                        break
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # one side is gone, so is the other
        finally:
            one.close()
