"""Keeps every page it asks for, RATE MiB a second, until its memory limit ends it."""

import os
import signal
import sys
import time

RATE = int(os.environ.get("RATE", "4"))
MIB = 1 << 20


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    held: list[bytearray] = []
    while True:
        held.append(bytearray(b"\x01") * (RATE * MIB))
        print(f"holding {len(held) * RATE} MiB", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
