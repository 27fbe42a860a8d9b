"""Works through ITEMS items, a line each, and ends well."""

import hashlib
import os
import time

ITEMS = int(os.environ.get("ITEMS", "5"))


def main() -> None:
    digest = b""
    for item in range(1, ITEMS + 1):
        digest = hashlib.pbkdf2_hmac("sha256", digest, b"podarium", 100_000)
        print(f"item {item}/{ITEMS}: {digest.hex()[:16]}", flush=True)
        time.sleep(0.5)
    print("done", flush=True)


if __name__ == "__main__":
    main()
