"""The files that a pod's containers find in /etc: hosts, hostname and resolv.conf. Pure text."""

import ipaddress
from collections.abc import Iterable

from engine.types.pods import Pod

HOSTNAME_MAX, FQDN_MAX = 63, 64

_HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


class HostnameError(ValueError):
    """A host name that Linux would not take; the text is the kubelet's."""


def hostname(pod: Pod, node: str, domain: str) -> str:
    """The pod's name or spec.hostname, cut to what Linux allows (63 characters); in the node's
    network the node's. Raise HostnameError for a full name, where that is wanted, of more than 64.
    """
    if pod.spec.host_network:
        return node
    name = (pod.spec.hostname or pod.metadata.name)[:HOSTNAME_MAX].rstrip("-.")
    if not (pod.spec.set_hostname_as_fqdn and pod.spec.subdomain):
        return name
    full = _full(pod, name, domain)
    if len(full) > FQDN_MAX:
        raise HostnameError(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN"
            f" {full} is too long ({FQDN_MAX} characters is the max, {len(full)} characters"
            " requested)"
        )
    return full


def _full(pod: Pod, name: str, domain: str) -> str:
    return f"{name}.{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{domain}"


def hosts(pod: Pod, ip: str, node: str, domain: str) -> bytes:
    """/etc/hosts: the machine's usual names, the pod's own, and its hostAliases."""
    name = hostname(pod, node, domain)
    names = [name]
    if pod.spec.subdomain and not pod.spec.host_network:
        short = name.partition(".")[0]
        names = [_full(pod, short, domain), short]
    lines = [_HOSTS + "\t".join([ip, *names])]
    if pod.spec.host_aliases:
        lines.append("\n# Entries added by HostAliases.")
        lines += ["\t".join([alias.ip, *alias.hostnames]) for alias in pod.spec.host_aliases]
    return ("\n".join(lines) + "\n").encode()


def resolv_conf(pod: Pod, host: str, domain: str) -> bytes:
    """/etc/resolv.conf after dnsPolicy and dnsConfig, from the machine's own.

    A name server on the machine's loopback cannot be reached from a pod, so it is left out.
    """
    config = pod.spec.dns_config
    policy = pod.spec.dns_policy or "ClusterFirst"
    if policy == "ClusterFirst" and pod.spec.host_network:
        policy = "Default"
    servers = [] if policy == "None" else _reachable(_values(host, "nameserver"))
    searches = [] if policy == "None" else [w for v in _values(host, "search") for w in v.split()]
    options = []
    if policy.startswith("ClusterFirst"):
        own = [f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain]
        searches = own + searches
        options = ["ndots:5"]
    if config is not None:
        servers += config.nameservers
        searches += config.searches
        given = {o.name: f"{o.name}:{o.value}" if o.value else o.name for o in config.options}
        options = [o for o in options if o.partition(":")[0] not in given] + list(given.values())
    lines = [f"nameserver {server}" for server in _unique(servers)]
    if searches:
        lines.append(f"search {' '.join(_unique(searches))}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(line + "\n" for line in lines).encode()


def _values(text: str, keyword: str) -> list[str]:
    lines = (line.split(None, 1) for line in text.splitlines())
    return [line[1].strip() for line in lines if len(line) == 2 and line[0] == keyword]


def _reachable(servers: Iterable[str]) -> list[str]:
    return [server for server in servers if not _is_loopback(server)]


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
