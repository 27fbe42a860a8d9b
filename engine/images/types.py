"""The image specification's documents, as far as they are read here.

A document's identity is its bytes, so these are views: each is parsed once from the raw bytes,
which are stored as they came and never written again from the view. Whatever is parsed is limited
in size first and checked in shape while decoding; a `Digest` cannot be made from anything but a
digest, which is what lets it become a file name.

Sources: OCI image-spec 1.1 (manifest.md, image-index.md, config.md, descriptor.md).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from engine.images.errors import BadDigest, BadImage

MANIFEST_LIMIT = 4 << 20
CONFIG_LIMIT = 8 << 20

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")

# PEP 604 names for what a wire integer may be: msgspec checks it while decoding.
Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Digest:
    """`sha256:` and 64 lower case hex digits. It is checked here, before it becomes a path."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not _DIGEST.fullmatch(text):
            raise BadDigest(f"digest {text!r}: must be 'sha256:' and 64 hexadecimal digits")
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Digest({self._text!r})"

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")

    def __str__(self) -> str:
        return self._text

    @property
    def hex(self) -> str:
        return self._text[7:]


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """Which machines an image runs on."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Points at a blob: what it is, which bytes, how many."""

    media_type: str = ""
    digest: Digest
    size: Size
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One image for one platform: a config and layers, lowest first."""

    schema_version: Literal[2]
    media_type: str = OCI_MANIFEST
    config: Descriptor
    layers: list[Descriptor]
    manifests: Any = None

    @classmethod
    def parse(cls, raw: bytes, name: object) -> "Manifest":
        """Raise BadImage naming `name` and the field that is wrong."""
        manifest = _decode(raw, cls, MANIFEST_LIMIT, f"manifest {name}")
        # One document that reads as both may be taken for either: CVE-2021-41190.
        if manifest.manifests is not None or manifest.media_type not in MANIFESTS:
            raise BadImage(f"manifest {name}: not an image manifest ({manifest.media_type!r})")
        if manifest.config.media_type not in CONFIGS:
            kind = manifest.config.media_type
            raise BadImage(f"manifest {name}: an artifact ({kind!r}), not an image one can run")
        return manifest


class Index(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A list of manifests, one for each platform; also an OCI layout's table of contents."""

    schema_version: Literal[2]
    media_type: str = OCI_INDEX
    manifests: list[Descriptor]
    layers: Any = None
    config: Any = None

    @classmethod
    def parse(cls, raw: bytes, name: object) -> "Index":
        """Raise BadImage naming `name` and the field that is wrong."""
        index = _decode(raw, cls, MANIFEST_LIMIT, f"index {name}")
        mixed = index.layers is not None or index.config is not None
        if mixed or index.media_type not in INDEXES:
            raise BadImage(f"index {name}: not an image index ({index.media_type!r})")
        return index


class History(msgspec.Struct, frozen=True, kw_only=True):
    """How one layer, or one setting, came about."""

    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False


class _RootFS(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    diff_ids: list[Digest]


class _Settings(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    # Docker writes null where it has nothing to say.
    user: str | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str | None = None
    exposed_ports: dict[str, Any] | None = None
    volumes: dict[str, Any] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None


class _ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    architecture: str
    os: str
    rootfs: _RootFS
    variant: str | None = None
    created: str | None = None
    config: _Settings | None = None
    history: list[History] | None = None


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """How a container of an image runs, unless the pod says otherwise."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """An image's config: platform, settings, the layers' diff ids (lowest first), history."""

    architecture: str
    os: str
    variant: str
    created: str
    config: ImageConfig
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]

    @classmethod
    def parse(cls, raw: bytes, name: object) -> "ConfigFile":
        """Raise BadImage naming `name` and the field that is wrong."""
        wire = _decode(raw, _ConfigFile, CONFIG_LIMIT, f"config {name}")
        if wire.rootfs.type != "layers":
            raise BadImage(f"config {name}: rootfs.type is {wire.rootfs.type!r}, must be 'layers'")
        s = wire.config or _Settings()
        settings = ImageConfig(
            env=tuple(s.env or ()),
            entrypoint=tuple(s.entrypoint or ()),
            cmd=tuple(s.cmd or ()),
            working_dir=s.working_dir or "",
            user=s.user or "",
            exposed_ports=tuple(sorted(s.exposed_ports or ())),
            volumes=tuple(sorted(s.volumes or ())),
            labels=s.labels or {},
            stop_signal=s.stop_signal or "",
        )
        return cls(
            architecture=wire.architecture,
            os=wire.os,
            variant=wire.variant or "",
            created=wire.created or "",
            config=settings,
            diff_ids=tuple(wire.rootfs.diff_ids),
            history=tuple(wire.history or ()),
        )

    def made_by(self) -> list[str]:
        """For each layer what made it; "" where history does not say (it is optional)."""
        commands = [h.created_by or h.comment or "" for h in self.history if not h.empty_layer]
        if len(commands) != len(self.diff_ids):
            return [""] * len(self.diff_ids)
        return commands


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a stored image. `entries` and `unpacked_size` are None until it is unpacked."""

    digest: Digest
    diff_id: Digest
    size: int
    media_type: str
    created_by: str
    entries: int | None
    unpacked_size: int | None


@dataclass(frozen=True, slots=True)
class Image:
    """A stored image under one reference. Layers are lowest first; sizes are bytes."""

    reference: str
    digest: Digest
    config_digest: Digest
    architecture: str
    os: str
    created: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    size: int


def chain_ids(diff_ids: tuple[Digest, ...]) -> list[Digest]:
    """For each layer the identity of the whole stack up to it (config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


_T = TypeVar("_T")


def _decode(raw: bytes, shape: type[_T], limit: int, what: str) -> _T:
    # Unbounded documents from strangers: CVE-2023-25153.
    if len(raw) > limit:
        raise BadImage(f"{what}: {len(raw)} bytes, the limit is {limit}")
    try:
        return msgspec.json.decode(raw, type=shape, dec_hook=_hook)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadImage(f"{what}: {error}") from None


def _hook(kind: type, value: Any) -> Any:
    if kind is Digest:
        return Digest(value)
    raise NotImplementedError(kind)
