"""What of this machine never goes into an image, whoever asks for it: keys, tokens, passwords.

Names that are only ever secrets are refused unread; what may be one (a .pem is most often a public
certificate) is read, and refused when it holds a private key.
"""

import os
import re
import stat

_NAMES = re.compile(
    r"shadow-?|gshadow-?|\.netrc|_netrc|\.pypirc|\.npmrc|\.yarnrc\.yml|\.git-credentials|\.pgpass"
    r"|\.my\.cnf|\.htpasswd|\.vault-token|\.env(\..+)?|id_(rsa|dsa|ecdsa|ed25519)(_sk)?"
    r"|ssh_host_.*_key|.*\.(key|p12|pfx|jks|keytab|kdbx|gpg|ppk)|krb5cc_.*|kubeconfig"
    r"|credentials(\.json|\.db|\.toml)?|application_default_credentials\.json|auth\.json"
    r"|\.dockercfg|machine-id|\.Xauthority|\.ICEauthority|\.bash_history|\.python_history"
    r"|\.psql_history|\.viminfo|\.lesshst"
)
_FOLDERS = re.compile(
    r"\.ssh|\.gnupg|\.aws|\.azure|\.kube|\.docker|\.config|\.password-store|gcloud|keyrings|sudoers\.d"
)
_PATHS = re.compile(
    r"/etc/(ssl/private|sudoers|security/opasswd|wireguard|openvpn|ipsec\.secrets|ppp|crypttab)(/.*)?"
    r"|/var/run/secrets(/.*)?|/run/secrets(/.*)?|/var/lib/(kubelet|docker|containers|podarium)(/.*)?"
    r"|/(proc|sys|dev)(/.*)?"
)
# Public keys have names of their own, and a library's code may be called as a secret is.
_HARMLESS = re.compile(r".*\.(py|pyi|so|h|c|rs|typed|pub|md|rst)")
_SUSPECT = re.compile(r".*\.(pem|crt|cer|der|asc|txt|cfg|conf|ini|json|ya?ml|toml)|[^.]*")
_PRIVATE = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-")
READ = 1 << 16
"""Bytes of a suspect file that are looked at."""


def secret(path: str) -> str | None:
    """Why a host's file must not be copied; None when it may. `path` is absolute."""
    *folders, name = path.strip("/").split("/")
    if _PATHS.fullmatch(path) or any(_FOLDERS.fullmatch(folder) for folder in folders):
        return "lies where this machine keeps secrets"
    if _HARMLESS.fullmatch(name):
        return None
    if _NAMES.fullmatch(name):
        return "is by its name a secret of this machine"
    if _SUSPECT.fullmatch(name) and _holds_key(path):
        return "holds a private key"
    return None


def _holds_key(path: str) -> bool:
    try:
        # Opening a pipe would wait for its writer, opening a device may act on it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return bool(_PRIVATE.search(os.pread(descriptor, READ, 0)))
    finally:
        os.close(descriptor)
