"""podman runs what we build, from the archive that we save.

Storage, state and cgroups are of the test's own, so that nobody's podman is touched.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images.save import save_file
from tests.real.images.builder.conftest import HOST, Shop

pytestmark = pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman")

LIMITS = ("--ulimit", "nofile=1024:2048", "--ulimit", "nproc=1000:1000", "--network", "none")


class Podman:
    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str) -> str:
        command = ["podman", "--root", f"{self.home}/r", "--runroot", f"{self.home}/x"]
        command += ["--tmpdir", f"{self.home}/t", "--cgroup-manager", "cgroupfs"]
        command += ["--events-backend", "file", "--runtime", "runc", *words]
        ran = subprocess.run(command, text=True, capture_output=True, check=False)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    home = Path(tempfile.mkdtemp(prefix="pdp"))
    made = Podman(home)
    try:
        yield made
    finally:
        made("rm", "--all", "--force", "--time", "0")
        made("rmi", "--all", "--force")
        subprocess.run(["umount", "-R", f"{home}/r/overlay"], capture_output=True, check=False)
        shutil.rmtree(home)


def test_podman_runs_what_we_build(shop: Shop, podman: Podman, tmp_path: Path) -> None:
    shop.build(
        f"""\
FROM {HOST} AS app
WORKDIR /app
COPY main.py .
RUN mkdir -m 700 data && chown 1000:1000 data && rm -rf /etc/os-release /usr/share/terminfo \\
 && mkdir -p /usr/share/terminfo/new && ln main.py again.py && ln -s main.py link.py
ENV GREETING="hello  there"
USER 1000:1000
ENTRYPOINT ["python", "link.py"]
CMD ["a", "b c"]
""",
        {"main.py": "import os, sys; print(os.getcwd(), os.getuid(), sys.argv[1:],"
                    " os.environ['GREETING'], os.listdir('/app/data'),"
                    " os.listdir('/usr/share/terminfo'), os.path.exists('/etc/os-release'),"
                    " os.stat('main.py').st_nlink)"},
        tags=("t/podman:1", "t/podman:also"),
    )  # fmt: skip
    shop.build(
        f"FROM {HOST} AS a\nRUN mkdir /o && cp $(command -v cat) /o/\nFROM t/podman:1\nUSER 0\n"
        'COPY --from=a /o/ /mine/\nENTRYPOINT ["/mine/cat"]\nCMD ["/app/main.py"]\n',
        tags=("t/second:1",),
    )
    save_file(shop.store, ["t/podman:1", "t/podman:also", "t/second:1"], tmp_path / "i.tar",
              "docker-archive")  # fmt: skip
    podman("load", "-i", str(tmp_path / "i.tar"))
    said = podman("run", "--rm", *LIMITS, "t/podman:also")
    assert said == "/app 1000 ['a', 'b c'] hello  there [] ['new'] False 2\n"
    assert podman("run", "--rm", *LIMITS, "t/second:1").startswith("import os, sys")
    history = podman("history", "--no-trunc", "--format", "{{.CreatedBy}}", "t/second:1")
    assert history.splitlines()[0] == 'CMD ["/app/main.py"]'
