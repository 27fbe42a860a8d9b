"""An image being made: settings and layers upon those of another, or upon nothing.

A draft is a value: every change gives a new one. Its documents are the same bytes for the same
draft. What a config of a stranger says beyond what is read here is kept.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.images.archive import host_platform, manifest_bytes
from engine.images.errors import BadImage
from engine.images.store import ImageStore
from engine.images.types import (
    CONFIG_LIMIT,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    OCI_LAYER,
    ConfigFile,
    Descriptor,
    Digest,
    Image,
    Layer,
    Manifest,
    Platform,
    chain_ids,
)

_OWN = ("architecture", "os", "variant", "config", "rootfs", "history", "created")
_UNNAMED = "localhost/build"


def timestamp(seconds: float) -> str:
    """RFC 3339, in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(frozen=True)
class Draft:
    """`settings` are the config's "config" object; `others` what else the config says."""

    platform: Platform = field(default_factory=host_platform)
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    created: str = ""
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, store: ImageStore, image: Image) -> Draft:
        """What an image of the store is made of. Raise BadImage."""
        manifest = Manifest.parse(store.blobs.read(image.digest, MANIFEST_LIMIT), image.digest)
        raw = store.blobs.read(image.config_digest, CONFIG_LIMIT)
        parsed = ConfigFile.parse(raw, image.config_digest)
        document: dict[str, Any] = msgspec.json.decode(raw)
        return cls(
            platform=Platform(
                os=parsed.os, architecture=parsed.architecture, variant=parsed.variant
            ),
            settings=document.get("config") or {},
            layers=tuple(manifest.layers),
            diff_ids=parsed.diff_ids,
            history=tuple(document.get("history") or ()),
            created=parsed.created,
            others={key: value for key, value in document.items() if key not in _OWN},
        )

    @property
    def chain(self) -> str:
        """The identity of the stack of layers; "" when there is none."""
        return str(chain_ids(self.diff_ids)[-1]) if self.diff_ids else ""

    def layered(self, layer: Descriptor, diff_id: Digest, made_by: str, created: str) -> Draft:
        """With one more layer on top."""
        note = {"created": created, "created_by": made_by}
        return replace(
            self,
            layers=(*self.layers, layer),
            diff_ids=(*self.diff_ids, diff_id),
            history=(*self.history, note),
            created=created,
        )

    def configured(self, settings: Mapping[str, Any], made_by: str, created: str) -> Draft:
        """With other settings."""
        note = {"created": created, "created_by": made_by, "empty_layer": True}
        return replace(self, settings=settings, history=(*self.history, note), created=created)

    def config_bytes(self) -> bytes:
        document: dict[str, Any] = {
            **self.others,
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": {key: self.settings[key] for key in sorted(self.settings)},
            "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in self.diff_ids]},
            "history": list(self.history),
        }
        if self.platform.variant:
            document["variant"] = self.platform.variant
        if self.created:
            document["created"] = self.created
        return msgspec.json.encode(document)

    def image(self) -> Image:
        """As something to prepare(): its layers; the name and the digests are not an image's."""
        raw = self.config_bytes()
        config = ConfigFile.parse(raw, "of a build")
        nobody = Digest.of(raw)
        layers = tuple(
            Layer(blob.digest, diff_id, blob.size, blob.media_type, "", None, None)
            for blob, diff_id in zip(self.layers, self.diff_ids, strict=True)
        )
        return Image(
            reference="build",
            digest=nobody,
            config_digest=nobody,
            architecture=config.architecture,
            os=config.os,
            created=config.created,
            config=config.config,
            layers=layers,
            size=sum(layer.size for layer in layers),
        )

    def store(self, store: ImageStore, names: Sequence[str]) -> Image:
        """Write the documents and let the names stand for them; call it within store.busy().

        Without a name it gets one by its digest, so that it is kept and no other is lost. Raise
        BadImage for settings that make the config too large.
        """
        raw = self.config_bytes()
        if len(raw) > CONFIG_LIMIT:
            raise BadImage(f"the image's config has {len(raw)} bytes, the limit is {CONFIG_LIMIT}")
        config = Descriptor(media_type=OCI_CONFIG, digest=store.blobs.put(raw), size=len(raw))
        digest = store.blobs.put(manifest_bytes(config, list(self.layers)))
        images = [store.add(name, digest) for name in names or (f"{_UNNAMED}@{digest}",)]
        return images[0]


def plain_layer(digest: Digest, size: int) -> Descriptor:
    """A layer that is stored as it is: its digest is its diff id."""
    return Descriptor(media_type=OCI_LAYER, digest=digest, size=size)
