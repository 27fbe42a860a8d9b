"""Loop devices: loop(4)."""

import errno
import fcntl
import os
import struct

_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_READ_ONLY, _AUTOCLEAR, _DIRECT_IO = 1, 4, 16
# struct loop_config: fd, block size, struct loop_info64, reserved
_CONFIG = struct.Struct("=II40x12xI64s64x32x16x64x")
_ATTEMPTS = 64


def attach(file: int, name: bytes, *, direct: bool = False) -> tuple[int, bytes]:
    """LOOP_CONFIGURE, Linux 5.8: a free device that reads the open `file`, open, and its path.

    The kernel takes it back when its last user is gone: a mount of it, or this descriptor. `name`
    is what losetup(8) shows, cut to 63 bytes.
    """
    flags = _READ_ONLY | _AUTOCLEAR | (_DIRECT_IO if direct else 0)
    config = _CONFIG.pack(file, 512, flags, name[:63])
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            path = b"/dev/loop%d" % fcntl.ioctl(control, _GET_FREE)
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, config)
            except OSError as error:
                os.close(device)
                # Somebody else was given the same one, and was faster.
                if error.errno != errno.EBUSY or attempt == _ATTEMPTS:
                    raise OSError(error.errno, error.strerror, path) from error
            else:
                return device, path
    finally:
        os.close(control)
    raise AssertionError("unreachable")
