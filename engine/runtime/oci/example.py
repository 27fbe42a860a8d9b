"""The config.json that `spec` writes: what the engine gives a container of its own."""

from __future__ import annotations

import msgspec

from engine.runtime.oci.document import VERSION
from engine.runtime.spec import default_spec


def config() -> str:
    """A shell in a root filesystem at ./rootfs, without a terminal."""
    spec = {"ociVersion": VERSION, **msgspec.to_builtins(default_spec(("sh",)))}
    spec["root"] = {"path": "rootfs"}
    spec["process"]["user"] = {"uid": 0, "gid": 0}
    spec["process"]["cwd"] = "/"
    spec["hostname"] = "podarium"
    return msgspec.json.format(msgspec.json.encode(spec), indent=2).decode() + "\n"
