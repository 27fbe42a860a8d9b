"""Burns CPU in waves: PEAK cores at the crest, nothing in the trough, PERIOD seconds a wave."""

import math
import os
import signal
import sys
import time

PEAK = float(os.environ.get("PEAK", "0.5"))
PERIOD = float(os.environ.get("PERIOD", "20"))
SLICE = 0.05


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"wave: {PEAK} cores at the crest, {PERIOD:g} s a wave", flush=True)
    started, crest = time.monotonic(), 0
    while True:
        now = time.monotonic()
        wave = (now - started) / PERIOD
        if int(wave + 0.5) > crest:
            crest = int(wave + 0.5)
            print(f"crest {crest}: {time.process_time():.1f} s of CPU used so far", flush=True)
        share = PEAK * (1 - math.cos(2 * math.pi * wave)) / 2
        while time.monotonic() - now < SLICE * min(share, 1.0):
            pass
        time.sleep(max(0.0, SLICE - (time.monotonic() - now)))


if __name__ == "__main__":
    main()
