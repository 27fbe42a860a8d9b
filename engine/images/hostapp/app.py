"""A small web server: says which pod answered, and whether it is well."""

import http.server
import json
import os
import signal
import socket
import sys
import time

STARTED = time.time()


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /healthz answers "ok"; every other path answers with a line of JSON."""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer("text/plain", b"ok\n")
            return
        facts = {
            "pod": socket.gethostname(),
            "node": os.environ.get("NODE_NAME", ""),
            "path": self.path,
            "pid": os.getpid(),
            "uptime": round(time.time() - STARTED, 1),
        }
        self.answer("application/json", json.dumps(facts).encode() + b"\n")

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, message: str, *args: object) -> None:
        print(f"{self.client_address[0]} {message % args}", flush=True)


def main() -> None:
    port = int(os.environ.get("PORT", "8000"))
    server = http.server.ThreadingHTTPServer(("", port), Handler)
    # As pid 1 the kernel delivers no signal that has no handler (pid_namespaces(7)).
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on port {port}, pod {socket.gethostname()}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
