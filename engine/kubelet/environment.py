"""A container's environment: a pure function of the pod, its node and the objects it refers to.

The order is the kubelet's: envFrom first, then env in order, each value expanded against what came
before. `$(NAME)` that names nothing stays as it is; `$$` is a dollar sign.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.kubelet import downward
from engine.kubelet.downward import ConfigError, NodeFacts
from engine.types.containers import Container, EnvFromSource, EnvVarSource
from engine.types.core import ConfigMap, Secret
from engine.types.pods import Pod

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


@dataclass(slots=True)
class References:
    """The contents of the config maps and secrets that a pod names, as far as they exist."""

    namespace: str = "default"
    config_maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def config_map(self, name: str, *, optional: bool | None) -> dict[str, bytes]:
        return self._found("configmap", self.config_maps, name, optional)

    def secret(self, name: str, *, optional: bool | None) -> dict[str, bytes]:
        return self._found("secret", self.secrets, name, optional)

    def config_map_key(self, name: str, key: str, *, optional: bool | None) -> bytes | None:
        data = self.config_map(name, optional=optional)
        return self._key("ConfigMap", name, data, key, optional)

    def secret_key(self, name: str, key: str, *, optional: bool | None) -> bytes | None:
        return self._key("Secret", name, self.secret(name, optional=optional), key, optional)

    def _found(
        self, kind: str, known: dict[str, dict[str, bytes]], name: str, optional: bool | None
    ) -> dict[str, bytes]:
        if name not in known and not optional:
            raise ConfigError(f'{kind} "{name}" not found')
        return known.get(name, {})

    def _key(
        self, kind: str, name: str, data: dict[str, bytes], key: str, optional: bool | None
    ) -> bytes | None:
        if key not in data and not optional:
            raise ConfigError(f"couldn't find key {key} in {kind} {self.namespace}/{name}")
        return data.get(key)


def config_map_contents(config_map: ConfigMap) -> dict[str, bytes]:
    binary = {key: base64.b64decode(value) for key, value in config_map.binary_data.items()}
    return {key: value.encode() for key, value in config_map.data.items()} | binary


def secret_contents(secret: Secret) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in secret.data.items()}


def needs(pod: Pod) -> tuple[set[str], set[str]]:
    """The names of the config maps and of the secrets that the pod's environment reads."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    spec = pod.spec
    for container in (*spec.init_containers, *spec.containers, *spec.ephemeral_containers):
        for origin in container.env_from:
            if origin.config_map_ref:
                config_maps.add(origin.config_map_ref.name)
            if origin.secret_ref:
                secrets.add(origin.secret_ref.name)
        for source in (variable.value_from for variable in container.env):
            if source and source.config_map_key_ref:
                config_maps.add(source.config_map_key_ref.name)
            if source and source.secret_key_ref:
                secrets.add(source.secret_key_ref.name)
    return config_maps, secrets


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace each $(NAME) that is in `values`, and $$ by a dollar sign."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else values.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)


def environment(
    pod: Pod, container: Container, references: References, *, pod_ip: str, node: NodeFacts
) -> dict[str, str]:
    """The variables that the pod gives the container (the image's come before them).

    Raise ConfigError when an object or a key that is not optional is missing.
    """
    result: dict[str, str] = {}
    for origin in container.env_from:
        result.update(_all_of(origin, references))
    for variable in container.env:
        if variable.value_from is None:
            result[variable.name] = expand(variable.value, result)
            continue
        value = _value(pod, container, variable.value_from, references, pod_ip, node)
        if value is not None:
            result[variable.name] = value
    return result


def _all_of(origin: EnvFromSource, references: References) -> Iterator[tuple[str, str]]:
    data: dict[str, bytes] = {}
    if ref := origin.config_map_ref:
        data = references.config_map(ref.name, optional=ref.optional)
    elif secret := origin.secret_ref:
        data = references.secret(secret.name, optional=secret.optional)
    for key, value in data.items():
        yield origin.prefix + key, _text(value)


def _value(
    pod: Pod,
    container: Container,
    source: EnvVarSource,
    references: References,
    pod_ip: str,
    node: NodeFacts,
) -> str | None:
    if source.field_ref:
        return downward.field(pod, source.field_ref.field_path, pod_ip=pod_ip, node=node)
    if source.resource_field_ref:
        return downward.resource(pod, container, source.resource_field_ref, node)
    value = None
    if ref := source.config_map_key_ref:
        value = references.config_map_key(ref.name, ref.key, optional=ref.optional)
    elif secret := source.secret_key_ref:
        value = references.secret_key(secret.name, secret.key, optional=secret.optional)
    return None if value is None else _text(value)


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
