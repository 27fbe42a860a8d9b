"""Probes and hooks, asked of real processes."""

from engine.types.pods import Pod
from tests.real.kubelet.conftest import Cluster

SERVER = """
import http.server, os, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        good = self.path == '/good?x=1' and self.headers.get('X-Asked') == 'yes'
        self.send_response(302 if self.path == '/moved' else 200 if good else 503)
        self.send_header('Location', '/good?x=1')
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(('', 8000), Handler).serve_forever()
"""


def main(pod: Pod):
    return next((s for s in pod.status.container_statuses if s.name == "main"), None)


def ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


async def test_the_other_probes_wait_for_the_startup_probe(cluster: Cluster) -> None:
    await cluster.run(
        "slow",
        {
            "command": ["python3", "-c", SERVER],
            "ports": [{"name": "web", "containerPort": 8000}],
            "startupProbe": {
                "exec": {"command": ["test", "-e", "/go"]},
                "periodSeconds": 1,
                "failureThreshold": 100,
            },
            "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
            "livenessProbe": {
                "httpGet": {
                    "path": "/moved",
                    "port": 8000,
                    "httpHeaders": [{"name": "X-Asked", "value": "yes"}],
                },
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
        },
    )
    pod = await cluster.until("slow", lambda p: p.status.phase == "Running")
    assert (main(pod).started, main(pod).ready) == (False, False)
    await cluster.exec("slow", "touch", "/go")
    pod = await cluster.until("slow", ready)
    assert main(pod).started
    assert main(pod).restart_count == 0
    await cluster.delete("slow", grace=0)


async def test_a_container_that_is_no_longer_ready(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo not now; test -e /well"]}}
    await cluster.run(
        "moody",
        {
            "command": ["sh", "-c", "touch /well; exec sleep 1000"],
            "readinessProbe": {**probe, "periodSeconds": 1, "failureThreshold": 1},
        },
    )
    await cluster.until("moody", ready)
    await cluster.exec("moody", "rm", "/well")
    pod = await cluster.until("moody", lambda p: not ready(p))
    assert main(pod).restart_count == 0
    assert "Readiness probe failed: not now" in await cluster.messages("moody")
    await cluster.exec("moody", "touch", "/well")
    await cluster.until("moody", ready)
    await cluster.delete("moody", grace=0)


async def test_what_a_failed_http_probe_says(cluster: Cluster) -> None:
    await cluster.run(
        "bad",
        {
            "command": ["python3", "-c", SERVER],
            "readinessProbe": {"httpGet": {"path": "/bad", "port": 8000}, "periodSeconds": 1},
        },
        {
            "name": "none",
            "command": ["sleep", "1000"],
            "readinessProbe": {"httpGet": {"path": "/x", "port": 9999}, "periodSeconds": 1},
        },
        {
            "name": "nameless",
            "command": ["sleep", "1000"],
            "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
        },
    )
    pod = await cluster.until("bad", lambda p: p.status.phase == "Running")
    ip = pod.status.pod_ip
    wanted = {
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
        f'Readiness probe failed: Get "http://{ip}:9999/x":'
        f" dial tcp {ip}:9999: connect: connection refused",
        "Readiness probe failed: container nameless has no port named 'web'",
    }
    await cluster.until_told("bad", wanted)
    await cluster.delete("bad", grace=0)


async def test_a_failed_hook_ends_the_container(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 1"]}}}
    await cluster.run(
        "hooked",
        {"command": ["sleep", "1000"], "lifecycle": hook},
        terminationGracePeriodSeconds=0,
    )
    pod = await cluster.until("hooked", lambda p: main(p) and main(p).restart_count >= 1)
    assert main(pod).last_state.terminated.exit_code == 137
    assert "PostStartHook failed: no luck" in await cluster.messages("hooked")
    await cluster.delete("hooked", grace=0)
