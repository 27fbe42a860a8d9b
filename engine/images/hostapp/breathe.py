"""Grows to PEAK MiB in small steps, frees it all, and begins again."""

import os
import signal
import sys
import time

PEAK = int(os.environ.get("PEAK", "40"))
STEP = int(os.environ.get("STEP", "2"))
PAUSE = float(os.environ.get("PAUSE", "0.5"))
MIB = 1 << 20


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    breath = 0
    while True:
        breath += 1
        held: list[bytearray] = []
        while len(held) * STEP < PEAK:
            # Ones, not zeros: pages of zeros from calloc(3) are not touched, so not charged.
            held.append(bytearray(b"\x01") * (STEP * MIB))
            time.sleep(PAUSE)
        print(f"breath {breath}: holding {len(held) * STEP} MiB", flush=True)
        time.sleep(PAUSE * 4)
        held.clear()
        time.sleep(PAUSE * 4)


if __name__ == "__main__":
    main()
