"""Containerfiles as real projects have them: built, tried, and built again from the cache."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from engine.images.elf import Linker
from engine.images.host import Host
from tests.real.images.builder.conftest import HOST, Log, Shop


def archive(*names: str, mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.mode = len(name), 1234, 0o640
            file.addfile(info, io.BytesIO(name.encode()))
    return out.getvalue()


APP = {"app/main.py": "import lib; print(lib.NAME)", "app/lib.py": "NAME = 'app'", "README": "x"}

# name: (Containerfile, files, what is tried in the image)
SHAPES: dict[str, tuple[str, dict[str, str | bytes], str]] = {
    "python, one stage": (
        f"""\
FROM {HOST}
WORKDIR /usr/src/app
COPY app/ ./
RUN python -m compileall -q .
EXPOSE 8000
CMD ["python", "main.py"]
""",
        APP,
        'test "$(python main.py)" = app && ls __pycache__/lib*.pyc',
    ),
    "python, built in one stage and run in another": (
        f"""\
ARG PY={HOST}
FROM $PY AS builder
WORKDIR /src
COPY app app
RUN --mount=type=cache,target=/root/.cache mkdir -p /install/lib && cp -r app /install/lib/ \\
 && touch /root/.cache/used
FROM $PY
COPY --from=builder --chown=1000:1000 /install /opt
ENV PYTHONPATH=/opt/lib/app
USER 1000
ENTRYPOINT ["python", "-m", "main"]
""",
        APP,
        'test "$(python -m main)" = app && test $(stat -c %u /opt/lib/app/main.py) = 1000'
        " && test ! -e /root/.cache/used",
    ),
    "static site": (
        f"""\
FROM {HOST} AS site
WORKDIR /site
COPY pages/ pages/
RUN for page in pages/*.md; do \\
      name=$(basename $page .md); \\
      mkdir -p public && {{ echo "<h1>$name</h1>"; cat $page; }} > public/$name.html; \\
    done
FROM {HOST}
COPY --from=site /site/public /srv/www
WORKDIR /srv/www
EXPOSE 8080/tcp
HEALTHCHECK --interval=5s CMD nc -z 127.0.0.1 8080
CMD python -m http.server 8080
""",
        {"pages/index.md": "hello", "pages/about.md": "us"},
        "grep -q hello index.html && ls about.html",
    ),
    "scripts in here-documents": (
        f"""\
FROM {HOST}
RUN <<EOF
set -e
mkdir /made
echo "one" > /made/1
EOF
RUN <<-'PY' python - && test "$(cat /made/2)" = two
	open("/made/2", "w").write("two\\n")
	PY
RUN <<EOF
#!/usr/bin/env python
import sys
open("/made/3", "w").write(sys.argv[0])
EOF
""",
        {},
        "grep one /made/1 && grep two /made/2 && test -s /made/3",
    ),
    "configuration in here-documents": (
        f"""\
FROM {HOST}
ARG PORT=80
COPY <<EOF /etc/app.conf
listen ${{PORT}}
path "$PATH"
EOF
COPY --chmod=755 <<"run" <<"stop" /usr/local/bin/
#!/bin/sh
echo $1 started
run
#!/bin/sh
stop
""",
        {},
        'grep "listen 80" /etc/app.conf && grep -F "/usr/bin" /etc/app.conf'
        ' && test "$(run x)" = "x started"',
    ),
    "arguments and environment": (
        f"""\
ARG VERSION=1.2.3
FROM {HOST}
ARG VERSION
ARG DEBUG
ENV APP_VERSION=${{VERSION%.*}} APP_MODE=${{DEBUG:+debug}} APP_HOME=/opt/${{NAME:-app}}
RUN test "$VERSION-$APP_VERSION-$APP_MODE-$APP_HOME" = "1.2.3-1.2--/opt/app"
WORKDIR $APP_HOME
LABEL org.opencontainers.image.version="$VERSION"
""",
        {},
        'test "$PWD" = /opt/app && test -z "$VERSION"',
    ),
    "a user of its own": (
        f"""\
FROM {HOST}
RUN echo 'app:x:10001:10002::/home/app:/bin/sh' >> /etc/passwd \\
 && echo 'app:x:10002:' >> /etc/group && echo 'more:x:7:app' >> /etc/group
RUN mkdir -p /home/app && chown app:app /home/app
COPY --chown=app:more README /home/app/
USER app
WORKDIR /home/app
RUN id && test $(id -u):$(id -g) = 10001:10002 && echo x > mine && test $HOME = /home/app
""",
        APP,
        "test $(stat -c %u:%g README) = 10001:7 && test $(id -G | wc -w) = 2",
    ),
    "base from another stage, and what inherits it": (
        f"""\
FROM {HOST} AS base
ENV LEVEL=1
RUN echo base > /base
FROM base AS middle
ENV LEVEL=2
FROM middle AS test
RUN exit 1
FROM middle
RUN test $LEVEL = 2 && cat /base
""",
        {},
        "test $LEVEL = 2",
    ),
    "instructions for who builds upon it": (
        f"""\
FROM {HOST} AS onbuild
WORKDIR /app
ONBUILD COPY app/ .
ONBUILD RUN <<E
echo triggered > trigger
E
FROM onbuild
CMD ["python", "main.py"]
""",
        APP,
        'test "$(python main.py)" = app && grep triggered trigger',
    ),
    "an archive that unpacks itself": (
        f"""\
FROM {HOST}
ADD one.tar two.tar.gz three.tar.xz four.tar.bz2 /unpacked/
ADD plain.txt /unpacked/
COPY one.tar /kept/
""",
        {
            "one.tar": archive("1/a"), "two.tar.gz": archive("2/b", mode="w:gz"),
            "three.tar.xz": lzma.compress(archive("3/c")),
            "four.tar.bz2": archive("4/d", mode="w:bz2"), "plain.txt": "x",
        },
        "cd /unpacked && cat 1/a 2/b 3/c 4/d plain.txt && test $(stat -c %u:%a 1/a) = 1234:640"
        " && ls /kept/one.tar",
    ),
    "from scratch": (
        f"""\
FROM {HOST} AS files
RUN mkdir -p /out/bin /out/etc && cp $(command -v cat) /out/bin/ && echo scratch > /out/etc/name
FROM scratch AS thin
COPY --from=files /out/ /
LABEL thin=yes
FROM {HOST}
COPY --from=thin / /thin
""",
        {},
        "grep scratch /thin/etc/name && ls /thin/bin/cat",
    ),
    "files left out": (
        f"""\
FROM {HOST}
WORKDIR /ctx
COPY . .
COPY --exclude=*.md --exclude=deep/** docs/ docs-only/
""",
        {
            ".dockerignore": "**/*.pyc\n.git\nnode_modules\n!node_modules/keep\nContainer*\n",
            "a.py": "", "a.pyc": "", ".git/HEAD": "", "node_modules/x/y": "",
            "node_modules/keep": "k", "docs/a.txt": "", "docs/b.md": "", "docs/deep/c": "",
        },
        "test -e a.py && test ! -e a.pyc && test ! -e .git && test -e node_modules/keep"
        " && test ! -e node_modules/x && test $(find docs-only -type f | wc -l) = 1",
    ),
    "patterns and parents": (
        f"""\
FROM {HOST}
COPY src/*/[ab].txt /flat/
COPY --parents src/*/a.txt /tree/
COPY --parents src/./x/ /pivot/
""",
        {"src/x/a.txt": "xa", "src/x/b.txt": "xb", "src/y/c.txt": "yc", "src/z/a.txt": "za"},
        "test $(ls /flat | wc -l) = 2 && cat /tree/src/x/a.txt /tree/src/z/a.txt /pivot/x/b.txt"
        " && test ! -e /tree/src/x/b.txt",
    ),
    "secrets that stay out": (
        f"""\
FROM {HOST}
RUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = s3cret
RUN --mount=type=secret,id=token,target=/x/token,mode=0444,uid=7 stat -c %a:%u /x/token | grep 444:7
RUN --mount=type=secret,id=token,env=TOKEN test "$TOKEN" = s3cret
RUN --mount=type=secret,id=other test ! -e /run/secrets/other
""",
        {},
        "test ! -e /run/secrets && test ! -e /x && test -z \"$TOKEN\"",
    ),
    "sources bound instead of copied": (
        f"""\
FROM {HOST} AS tools
RUN mkdir /tools && echo 'echo tool $1' > /tools/tool.sh
FROM {HOST}
WORKDIR /build
RUN --mount=type=bind,target=/src,rw --mount=from=tools,source=/tools/tool.sh,target=/t/tool.sh \\
    sh /t/tool.sh made > out && echo changed > /src/README && ls /src > list
RUN --mount=type=tmpfs,target=/scratch,size=1m dd if=/dev/zero of=/scratch/x bs=1k count=100 2>&1
RUN --mount=target=/ro ! touch /ro/x
""",
        APP,
        'grep "tool made" out && grep README list && test ! -e /src && test ! -e /t'
        " && test ! -e /scratch && test ! -e /ro",
    ),
    "a shell of its own": (
        f"""\
FROM {HOST}
SHELL ["python", "-c"]
RUN import os; os.mkdir("/by-python"); print(os.environ["HOME"])
SHELL ["/bin/sh", "-ec"]
RUN false || true; echo $0 > /zero
CMD echo started
""",
        {},
        "test -d /by-python && test -s /zero",
    ),
    "deletions and replacements": (
        f"""\
FROM {HOST} AS full
RUN mkdir -p /data/old/deep /swap && echo 1 > /data/old/deep/f && ln -s keep /data/l
RUN echo 1 > /data/keep
FROM full
RUN rm -rf /data/old && mkdir /data/old && echo 2 > /data/old/new
RUN rm -r /swap && echo file > /swap && rm /data/l && mkdir /data/l && ln /data/keep /data/hard
RUN rm /etc/os-release; chmod 700 /data; touch -d @1000000000 /data/keep; mv /data/old /data/moved
""",
        {},
        "test ! -e /data/old && test $(ls /data/moved) = new && grep file /swap && test -d /data/l"
        " && test $(stat -c %a /data) = 700 && test $(stat -c %h /data/hard) = 2"
        " && test $(stat -c %Y /data/keep) = 1000000000 && test ! -e /etc/os-release",
    ),
    "links on the way": (
        f"""\
FROM {HOST}
RUN mkdir -p /real/lib /real/www && ln -s real/lib /lib-link && ln -s /real/www /www
COPY lib/ /lib-link/
COPY site/ /
ADD lib/a.so /www/
WORKDIR /www/made
""",
        {"lib/a.so": "a", "site/www/index": "i", "site/lib-link/sub/b": "b"},
        "test -L /www && test -L /lib-link && cat /real/lib/a.so /real/lib/sub/b /real/www/index"
        " /real/www/a.so && test -d /real/www/made && test -L /bin -o -d /bin",
    ),
    "several programs from several stages": (
        f"""\
FROM {HOST} AS api
RUN mkdir /o && echo api > /o/api
FROM {HOST} AS web
RUN mkdir /o && echo web > /o/web
FROM {HOST} AS docs
COPY README /o/docs
FROM {HOST}
COPY --from=api /o/api /all/
COPY --from=web /o/ /all/
COPY --from=2 /o /all
COPY --from={HOST} --link /etc/group /all/group
VOLUME /all/data
""",
        APP,
        "test $(ls /all | wc -l) = 4 && grep root /all/group",
    ),
    "continued lines with comments": (
        f"""\
# escape=`
FROM {HOST}
RUN echo a`
# not here

  b > /c `
  && echo `
     d >> /c
""",
        {},
        "grep '^a b$' /c && grep d /c",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(shop: Shop, name: str) -> None:
    text, files, script = SHAPES[name]
    context = shop.context(files)
    secrets = {"token": b"s3cret"}
    tag = f"t/{list(SHAPES).index(name)}:1"
    first, second = Log(), Log()
    image = shop.build(text, context, first, tags=(tag,), secrets=secrets)
    again = shop.build(text, context, second, tags=(tag,), secrets=secrets)
    assert second.steps(cached=False) == []
    assert again.digest == image.digest
    shop.build(f"FROM {tag}\nRUN {script}\n")


def test_a_program_compiled_by_the_machines_own_compiler(shop: Shop) -> None:
    """cc and what it needs are laid over the host image, as an image with a compiler has them."""
    folder = shop.context({"src/main.c": '#include <stdio.h>\nint main(){puts("compiled");}\n'})
    _toolchain(folder / "toolchain", folder / "src/main.c")
    text = f"""\
FROM {HOST} AS cc
COPY toolchain/ /
FROM cc AS build
WORKDIR /src
COPY src/ .
RUN cc -O1 -fno-use-linker-plugin -o /hello main.c
FROM {HOST}
COPY --from=build /hello /usr/local/bin/
RUN test "$(hello)" = compiled
ENTRYPOINT ["hello"]
"""
    log = Log()
    shop.build(text, folder, tags=("t/c:1",))
    (folder / "src/main.c").write_text(
        '#include <stdio.h>\nint main(){puts("compiled");return 0;}\n'
    )
    shop.build(text, folder, log, tags=("t/c:1",))
    assert "COPY toolchain/ /" in log.steps(cached=True)
    assert "RUN cc -O1 -fno-use-linker-plugin -o /hello main.c" in log.steps(cached=False)


def _toolchain(root: Path, source: Path) -> None:
    def ask(*words: str) -> str:
        return subprocess.run(
            ["cc", *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    programs = [ask(f"-print-prog-name={name}") for name in ("cc1", "collect2")]
    programs += [shutil.which(name) or "" for name in ("cc", "as", "ld")]
    files = {os.path.realpath(path) for path in programs}
    names = ("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "crtbegin.o", "crtbeginS.o", "crtend.o",
             "crtendS.o", "libgcc.a", "libgcc_s.so", "libc.so", "libc_nonshared.a")  # fmt: skip
    files |= {
        os.path.realpath(path) for n in names if "/" in (path := ask(f"-print-file-name={n}"))
    }
    files |= {path for path in ask("-M", "-O1", str(source)).split() if path.startswith("/usr/")}
    closure = Linker(Host()).closure({path for path in files if os.access(path, os.X_OK)})
    for path in (*files, *closure.files):
        _copy(path, root)
    for name in ("cc", "as", "ld"):
        link = root / "usr/local/bin" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.realpath(shutil.which(name) or ""))
    for name in ("ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1"):
        found = ask(f"-print-file-name={name}")
        if "/" in found:
            _copy(os.path.normpath(found), root)


def _copy(path: str, root: Path) -> None:
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    target = root / real.lstrip("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(real, target)
