"""What a pod's containers stand on: cgroup, address, sandbox, volumes; made first, removed last."""

import asyncio
from pathlib import Path

from engine.kubelet import environment, etc, qos, tmpfs, volumes
from engine.kubelet.folders import PodFolders
from engine.kubelet.node import CLUSTER_DOMAIN, LocalNode
from engine.kubelet.starter import PodGround, labels
from engine.kubelet.volumes import Context, Mountable, VolumeError
from engine.network.ipam import gateway
from engine.runtime.runtime import SandboxConfig, SandboxState
from engine.types.pods import Pod

SHM_SIZE = 64 << 20


class Ground:
    """One pod's. `ip` is empty until it has an address; `sandbox` says whether it can run
    containers, and `link` is then the index of the node's end of its cable."""

    def __init__(self, node: LocalNode, pod: Pod) -> None:
        self._node = node
        self._uid = pod.metadata.uid
        self.folders = PodFolders.of(node.paths, pod)
        self.ip = ""
        self.sandbox = False
        self.link = 0

    def adopt(self, state: SandboxState) -> None:
        """A sandbox of the pod is there already."""
        if state.ip:
            self._node.pool.adopt(self._uid, state.ip)
        self.ip = state.ip or self._node.config.host_ip
        self.link, self.sandbox = state.index, True

    def lose(self) -> None:
        """The sandbox went with the node's keeper; the address is still the pod's."""
        self.sandbox = False

    async def set_up(self, pod: Pod) -> PodGround:
        """Make what is missing, bring volumes up to date.

        Raise VolumeError, TimeoutError when the API does not answer, and OSError, RuntimeFailure or
        NoFreeAddress when the node cannot do it.
        """
        node = self._node
        if not self.sandbox:
            if pod.spec.host_network:
                self.ip = node.config.host_ip
            self.ip = self.ip or str(node.pool.allocate(self._uid))
            cgroup = node.pod_cgroup(self._uid)
            node.hierarchy.create(cgroup)
            node.hierarchy.limit(cgroup, qos.pod_resources(pod, node.config.milli))
            self.folders.volumes.mkdir(parents=True, exist_ok=True)
        needed = [a | b for a, b in zip(environment.needs(pod), volumes.needs(pod), strict=True)]
        needed[1].update(secret.name for secret in pod.spec.image_pull_secrets)
        known = await node.sources.references(self._uid, pod.metadata.namespace, *needed)
        mounted: dict[str, Mountable] = {}
        if pod.spec.volumes:
            context = Context(self.folders.volumes, known, self.ip, node.config.facts)
            mounted = await asyncio.to_thread(self._volumes, pod, context)
        shm = await asyncio.to_thread(self._shm, pod)
        if not self.sandbox:
            state = await node.runtime.create_sandbox(self._config(pod))
            self.link, self.sandbox = state.index, True
        return PodGround(pod, self.folders, self.ip, known, mounted, shm)

    def _volumes(self, pod: Pod, context: Context) -> dict[str, Mountable]:
        mounted = volumes.set_up(pod, context)
        for name, volume in mounted.items():
            if volume.memory:
                try:
                    tmpfs.mount_tmpfs(self._node.runtime.keeper_pid, volume.source, volume.size)
                except OSError as error:
                    raise VolumeError(name, error) from error
        return mounted

    def _shm(self, pod: Pod) -> Path | None:
        """What several containers share as /dev/shm; a single one has its own."""
        if pod.spec.host_ipc:
            return Path("/dev/shm")
        if len(pod.spec.containers) + len(pod.spec.init_containers) < 2:
            return None
        folder = self.folders.shared / "shm"
        folder.mkdir(mode=0o1777, parents=True, exist_ok=True)
        folder.chmod(0o1777)
        tmpfs.mount_tmpfs(self._node.runtime.keeper_pid, folder, SHM_SIZE)
        return folder

    def _config(self, pod: Pod) -> SandboxConfig:
        network, spec = self._node.pool.cidr, pod.spec
        cabled = not spec.host_network
        sysctls = spec.security_context.sysctls if spec.security_context else []
        asked = (("network", spec.host_network), ("ipc", spec.host_ipc))
        return SandboxConfig(
            id=self._uid,
            hostname=etc.hostname(pod, self._node.config.name, CLUSTER_DOMAIN),
            ip=self.ip if cabled else "",
            prefix=network.prefixlen,
            gateway=str(gateway(network)) if cabled else "",
            cgroup=self._node.pod_cgroup(self._uid),
            host=tuple(kind for kind, wanted in asked if wanted),
            pids=bool(spec.share_process_namespace),
            sysctls=tuple((each.name, each.value) for each in sysctls),
            labels=labels(pod),
        )

    async def tear_down(self, pod: Pod) -> None:
        """Remove the sandbox and the cgroup, give the address back. Files stay."""
        node = self._node
        if self.sandbox:
            await node.runtime.remove_sandbox(self._uid)
            self.sandbox = False
        if any(v.empty_dir and v.empty_dir.medium == "Memory" for v in pod.spec.volumes):
            folder = self.folders.volumes
            await asyncio.to_thread(tmpfs.unmount_below, node.runtime.keeper_pid, folder)
        if self.folders.shared.exists():
            shared = self.folders.shared
            await asyncio.to_thread(tmpfs.unmount_below, node.runtime.keeper_pid, shared)
        await asyncio.to_thread(node.hierarchy.remove, node.pod_cgroup(self._uid))
        node.pool.release(self._uid)
        node.sources.release(self._uid)
