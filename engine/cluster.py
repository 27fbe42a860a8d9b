"""The composition root: it wires the parts of one cluster, and nothing else does.

What can be done at the same time is: the nodes' keepers start, the host image is made (in a process
of its own) and the API opens while none waits for another. The screen follows the boot log.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import platform
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import config as configuration
from engine.boot import READY, BootLog
from engine.config import ClusterConfig, NodeShape
from engine.home import ClusterPaths
from engine.launch import EngineOptions
from engine.runtime import features, needs
from engine.runtime.cgroup import delegation
from engine.runtime.runtime import Runtime

if TYPE_CHECKING:
    from engine.api.server import Server
    from engine.client.client import Client
    from engine.kubelet.node import NodeConfig

log = logging.getLogger(__name__)


class BootError(RuntimeError):
    """The cluster cannot start; the message says what is lacking and the cure."""


async def serve(
    paths: ClusterPaths,
    options: EngineOptions,
    started: float,
    listener: socket.socket | None = None,
) -> None:
    """Run the cluster until SIGTERM or SIGINT; its containers go on without us.

    `listener`: kubectl's door, when it could not be opened from where we are.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    boot = BootLog(paths.boot_log, started)
    cluster = Cluster(paths, boot, listener)
    starting = asyncio.create_task(cluster.start(options))
    waiting = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await waiting
    finally:
        for task in (starting, waiting):
            task.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        await cluster.stop()
        boot.close()


class Cluster:
    """One cluster's parts, started in the order in which they need each other."""

    def __init__(
        self, paths: ClusterPaths, boot: BootLog, listener: socket.socket | None = None
    ) -> None:
        self.paths = paths
        self._listener = listener
        self._boot = boot
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = contextlib.AsyncExitStack()

    async def start(self, options: EngineOptions) -> None:
        """Return when the nodes are Ready, the host image is there and the manifests are applied.

        Raise BootError, ConfigError, OSError, RuntimeError: the boot log has the failed step.
        """
        with self._boot.step("kernel") as note:
            lacking = needs.missing()
            if lacking:
                raise BootError("; ".join(f"{item.name}: {item.cure}" for item in lacking))
            found = features.probe()
            hierarchy = delegation.hierarchy(self.paths.cgroup)
            delegation.settle(hierarchy)
            hierarchy.create(self.paths.cgroup)  # by which each keeper will find it
            note.detail = f"Linux {platform.release()}, cgroups {found.hierarchy}"
        with self._boot.step("configuration") as note:
            config = configuration.load(self.paths, options)
            shape = config.nodes[0]
            note.detail = f"{len(config.nodes)} nodes of {shape.cpu} CPU, {shape.memory}"
        async with asyncio.TaskGroup() as together:
            image = together.create_task(self._build_host_image())
            runtimes = together.create_task(self._start_nodes(config))
            client = together.create_task(self._open_api(config))
        del image
        _allow_many_files()
        await self._join_nodes(config, runtimes.result(), client.result())
        await self._apply(client.result(), options.apply)
        with self._boot.step(READY):
            pass

    async def stop(self) -> None:
        """End our parts, in reverse; keepers and containers stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closing.aclose()

    def _run(self, part: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(part, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _build_host_image(self) -> None:
        with self._boot.step("host image") as note:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "engine.images.hostimage"),
                *("--root", str(self.paths.images)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            try:
                out, err = await process.communicate()
            except asyncio.CancelledError:
                # Another step has failed: nobody waits for the image, nor for its own children.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                raise
            if process.returncode:
                raise BootError(err.decode(errors="replace").strip() or "ended without a word")
            told = msgspec.json.decode(out)
            note.detail = "built from this machine's files" if told["built"] else "already there"
            if told["missing"]:
                note.detail += f"; not found here: {', '.join(told['missing'])}"

    async def _start_nodes(self, config: ClusterConfig) -> list[Runtime]:
        with self._boot.step("nodes") as note:
            runtimes = await asyncio.gather(*map(self._start_keeper, config.nodes))
            pids = ", ".join(str(runtime.keeper_pid) for runtime in runtimes)
            note.detail = f"{len(runtimes)} keepers, pids {pids}"
            for shape, runtime in zip(config.nodes, runtimes, strict=True):
                if runtime.beginning.text:
                    note.detail += f"; {shape.name}: {runtime.beginning.text}"
        with self._boot.step("network") as note:
            living = [sandbox for runtime in runtimes for sandbox in await runtime.sandboxes()]
            await asyncio.to_thread(self._lay_host_cable, config, movable=not living)
            await asyncio.to_thread(self._lay_cables, config, config.nodes, runtimes)
            note.detail = f"bridge {self.paths.bridge}, {config.cidr}"
        return runtimes

    async def _start_keeper(self, shape: NodeShape, after: Runtime | None = None) -> Runtime:
        runtime = await Runtime.launch(self.paths.node(shape.name), shape.name, after)
        self._closing.callback(runtime.close)
        return runtime

    async def _restart_node(
        self, config: ClusterConfig, shape: NodeShape, lost: Runtime
    ) -> Runtime:
        """A node whose keeper died gets another one, and where that has not got them, cables."""
        runtime = await self._start_keeper(shape, lost)
        await asyncio.to_thread(self._lay_cables, config, [shape], [runtime])
        return runtime

    def _lay_host_cable(self, config: ClusterConfig, *, movable: bool) -> None:
        """A cluster without a network, or whose network is another's by now, gets a free one."""
        from engine.network import ipam
        from engine.network.fabric import Fabric, one_at_a_time

        with one_at_a_time():
            if config.cidr:
                try:
                    Fabric(self.paths, config.cidr).ensure_host()
                except OSError as error:
                    if error.errno != errno.EADDRINUSE or not movable:
                        raise
                else:
                    return
            config.cidr = str(ipam.choose_cluster_cidr(ipam.taken_networks()))
            config.save(self.paths)
            Fabric(self.paths, config.cidr).ensure_host()

    def _lay_cables(
        self, config: ClusterConfig, shapes: list[NodeShape], runtimes: list[Runtime]
    ) -> None:
        from engine.network.fabric import Fabric

        fabric = Fabric(self.paths, config.cidr)
        fabric.ensure_host()
        peers = [shape.index for shape in config.nodes]
        for shape, runtime in zip(shapes, runtimes, strict=True):
            fabric.ensure_node(shape.index, runtime.netns_fd(), peers)

    async def _open_api(self, config: ClusterConfig) -> Client:
        with self._boot.step("store"):
            from engine.store.store import Store
            from engine.types.registry import RESOURCES

            volatile = [resource.key for resource in RESOURCES if not resource.durable]
            store = Store.open(self.paths.database, volatile=volatile)
            self._closing.push_async_callback(store.close)
        with self._boot.step("api") as note:
            from engine.api.direct import DirectTransport
            from engine.api.handler import Api
            from engine.api.server import Server
            from engine.client.client import Client

            self._api = Api(store, name=self.paths.name, id=self.paths.id)
            await self._api.bootstrap()
            server = Server(self._api)
            self._closing.push_async_callback(server.close)
            self._closing.push_async_callback(self._api.close)
            await server.listen_unix(self.paths.api_socket)
            port = await self._listen_tls(server, config)
            note.detail = f"https://127.0.0.1:{port}"
        return Client(DirectTransport(self._api))

    async def _listen_tls(self, server: Server, config: ClusterConfig) -> int:
        """Kubectl's door: the port of the last time when it is free, so that kubeconfigs last."""
        from engine.api import tls

        context = await asyncio.to_thread(tls.server_context, self.paths.pki)
        if self._listener is not None:
            port = await server.serve_tls(self._listener, context)
        else:
            try:
                port = await server.listen_tls("127.0.0.1", config.tls_port, context)
            except OSError:
                port = await server.listen_tls("127.0.0.1", 0, context)
        if port != config.tls_port:
            config.tls_port = port
            config.save(self.paths)
        tls.write_kubeconfig(self.paths.kubeconfig, self.paths.pki, self.paths.name, port)
        return port

    async def _join_nodes(
        self, config: ClusterConfig, runtimes: list[Runtime], client: Client
    ) -> None:
        with self._boot.step("control plane"):
            self._start_control_plane(client)
        with self._boot.step("kubelets") as note:
            from engine.images.store import ImageStore
            from engine.kubelet.gateway import Gateway
            from engine.kubelet.kubelet import Kubelet
            from engine.kubelet.pulls import ImagePuller

            images = ImageStore(self.paths.images)
            hierarchy = delegation.hierarchy(self.paths.cgroup)
            puller = ImagePuller(images, self.paths.home)
            self._closing.callback(images.close)
            kubelets = [
                Kubelet(
                    client,
                    node=self._node(config, shape),
                    runtime=runtime,
                    images=images,
                    puller=puller,
                    paths=self.paths.node(shape.name),
                    hierarchy=hierarchy,
                    relaunch=partial(self._restart_node, config, shape),
                )
                for shape, runtime in zip(config.nodes, runtimes, strict=True)
            ]
            self._api.gateway = gateway = Gateway(kubelets, self.paths.home)
            for kubelet in kubelets:
                self._run(kubelet.run(), kubelet.name)
            self._run(gateway.run(), "statistics")
            await asyncio.gather(*(kubelet.ready.wait() for kubelet in kubelets))
            note.detail = f"{len(kubelets)} nodes Ready"

    def _node(self, config: ClusterConfig, shape: NodeShape) -> NodeConfig:
        from engine.kubelet.node import NodeConfig
        from engine.network import ipam
        from engine.types import quantity

        return NodeConfig(
            name=shape.name,
            index=shape.index,
            cpu=quantity.cores(shape.cpu),
            memory=quantity.bytes_(shape.memory),
            pod_cidr=str(ipam.node_cidr(config.network, shape.index)),
            host_ip=str(ipam.fabric_address(config.network, shape.index)),
            storage=shutil.disk_usage(self.paths.state).total,
        )

    def _start_control_plane(self, client: Client) -> None:
        from engine.controllers.runtime import SharedInformers
        from engine.controllers.start import controllers
        from engine.scheduler.scheduler import Scheduler
        from engine.types.core import Node, Pod

        informers = SharedInformers(client)
        scheduler = Scheduler(client, informers.of(Pod), informers.of(Node))
        parts = controllers(client, informers)
        self._run(informers.run(), "informers")
        self._run(scheduler.run(), scheduler.name)
        for part in parts:
            self._run(part.run(), part.name)

    async def _apply(self, client: Client, files: Sequence[Path]) -> None:
        if not files:
            return
        from engine.client.apply import apply, read_manifests

        with self._boot.step("manifests") as note:
            manifests = [each for f in files for each in read_manifests(f.read_text(), f.name)]
            for manifest in manifests:
                await apply(client, manifest)
            note.detail = ", ".join(f"{m.resource.singular}/{m.name}" for m in manifests)


def _allow_many_files() -> None:
    """Sampling keeps up to eleven descriptors a container. After the keepers have started: what
    they hand on to containers is the limit that the user's shell gave us."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _report(task: asyncio.Task[None]) -> None:
    """A part that ends by an error is a defect: it is told in the engine's log, with its trace."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended: %s", task.get_name(), error, exc_info=error)
