"""Whom a container runs as: ids from the pod, or names from the image's own accounts."""

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from engine.images.accounts import ID_MAX, Accounts
from engine.kubelet.downward import ConfigError
from engine.linux.namespace import mapped
from engine.runtime.spec import User
from engine.types.containers import SecurityContext
from engine.types.pods import PodSecurityContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    user: User
    home: str


def identify(
    image_user: str,
    accounts: Accounts,
    pod: PodSecurityContext | None,
    container: SecurityContext | None,
) -> Identity:
    """The container's user: its own security context's, the pod's, or the image's.

    Raise ConfigError for a name that the image does not know, and for root where it is forbidden.
    """
    pod = pod or PodSecurityContext()
    own = container or SecurityContext()
    image_name, _, image_group = image_user.partition(":")
    chosen = _first(own.run_as_user, pod.run_as_user)
    name = str(chosen) if chosen is not None else image_name or "0"
    entry = accounts.user(name)
    uid = entry[0] if entry else _id(name, "user")
    group = _first(own.run_as_group, pod.run_as_group)
    if group is not None:
        gid = group
    elif chosen is None and image_group:
        gid = _group(image_group, accounts)
    else:
        gid = entry[1] if entry else 0
    if _first(own.run_as_non_root, pod.run_as_non_root) and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    further = [*(accounts.memberships(entry[2]) if entry else []), *pod.supplemental_groups]
    if pod.fs_group is not None:
        further.append(pod.fs_group)
    _must_be_here("uid", uid, "runAsUser" if chosen is not None else "the image's USER")
    _must_be_here("gid", gid, "runAsGroup" if group is not None else "the image's USER")
    for each in pod.supplemental_groups:
        _must_be_here("gid", each, "supplementalGroups")
    if pod.fs_group is not None:
        _must_be_here("gid", pod.fs_group, "fsGroup")
    user = User(uid=uid, gid=gid, additional_gids=tuple(dict.fromkeys(further)))
    return Identity(user, entry[3] if entry and entry[3] else "/")


def _must_be_here(kind: str, id: int, field: str) -> None:
    known = _ids(kind)
    if not any(first <= id < first + count for first, count in known):
        last = known[-1][0] + known[-1][1] - 1
        have = "only 0 exists" if last == 0 else f"only 0 to {last} exist"
        raise ConfigError(
            f"{field}: {kind} {id} does not exist here: without root {have}; more come from"
            " /etc/subuid and /etc/subgid (sudo usermod --add-subuids 100000-165535"
            " --add-subgids 100000-165535 USER), then podarium down and up"
        )


@cache
def _ids(kind: str) -> tuple[tuple[int, int], ...]:
    return tuple(mapped(kind))


def _group(name: str, accounts: Accounts) -> int:
    found = accounts.group_id(name)
    return _id(name, "group") if found is None else found


def _id(text: str, noun: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f"unable to find {noun} {text}: no matching entries in the image")
    if int(text) > ID_MAX:
        raise ConfigError(f"{noun} id {text} is out of range")
    return int(text)


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)
