"""Mounts, in a mount namespace that goes with its process."""

import errno


def test_mount_bind_remount_and_umount(alone):
    found = alone(
        """
private_mounts()
os.mkdir("a"); os.mkdir("b"); open("a/file", "w").close()
mount.mount(b"a", b"b", None, MS.BIND)
mount.mount(None, b"b", None, MS.REMOUNT | MS.BIND | MS.RDONLY)
seen = os.listdir("b")
try:
    open("b/file", "w")
except OSError as error:
    refused = error.errno
mount.umount2(b"b", MNT.DETACH)
answer([seen, refused, os.listdir("b")])
"""
    )
    assert found == [["file"], errno.EROFS, []]


def test_failures_name_the_target(alone):
    found = alone(
        """
private_mounts()
answer([
    failure(mount.mount, b"x", b"/mnt/none", b"tmpfs", 0),
    failure(mount.umount2, b"/mnt/none", 0),
    failure(mount.pivot_root, b"/mnt/none", b"/mnt/none"),
    failure(mount.open_tree, -100, b"/mnt/none", OPEN_TREE.CLONE),
    failure(mount.fsopen, b"nosuchfs"),
])
"""
    )
    assert found == [
        [errno.ENOENT, "/mnt/none"],
        [errno.ENOENT, "/mnt/none"],
        [errno.ENOENT, "/mnt/none"],
        [errno.ENOENT, "/mnt/none"],
        [errno.ENODEV, "nosuchfs"],
    ]


def test_a_detached_mount_is_configured_and_attached(alone):
    found = alone(
        """
private_mounts()
os.mkdir("here")
fs = mount.fsopen(b"tmpfs")
mount.fsconfig_set_string(fs, b"size", b"1m")
mount.fsconfig_create(fs)
fd = mount.fsmount(fs, MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV)
mount.move_mount(fd, b"", -100, b"here")
stat = os.statvfs("here")
answer([stat.f_blocks * stat.f_bsize, bool(stat.f_flag & os.ST_NOSUID), os.get_inheritable(fd)])
"""
    )
    assert found == [1 << 20, True, False]


def test_overlay_is_configured_through_descriptors(alone):
    found = alone(
        """
private_mounts()
for name in ("lower", "upper", "work", "merged"):
    os.mkdir(name)
open("lower/file", "w").close()
fs = mount.fsopen(b"overlay")
for key, value in ((b"lowerdir", b"lower"), (b"upperdir", b"upper"), (b"workdir", b"work")):
    mount.fsconfig_set_string(fs, key, value)
mount.fsconfig_set_flag(fs, b"volatile")
mount.fsconfig_create(fs)
mount.move_mount(mount.fsmount(fs), b"", -100, b"merged")
open("merged/new", "w").close()
answer([sorted(os.listdir("merged")), os.listdir("upper")])
"""
    )
    assert found == [["file", "new"], ["new"]]


def test_a_filesystem_says_what_it_does_not_know(alone):
    found = alone(
        """
fs = mount.fsopen(b"tmpfs")
try:
    mount.fsconfig_set_string(fs, b"nonsense", b"1")
except OSError as error:
    answer([error.errno, error.strerror, error.filename.decode()])
"""
    )
    assert found == [errno.EINVAL, "e tmpfs: Unknown parameter 'nonsense'", "nonsense=1"]


def test_a_read_only_copy_of_a_tree(alone):
    """What protects the interpreter from a container: nobody can write through it."""
    found = alone(
        """
private_mounts()
os.mkdir("tree"); open("tree/file", "w").close(); os.mkdir("there")
fd = mount.open_tree(-100, b"tree", OPEN_TREE.CLONE)
mount.mount_setattr(fd, b"", AT.EMPTY_PATH | AT.RECURSIVE, attr_set=MOUNT_ATTR.RDONLY)
mount.move_mount(fd, b"", -100, b"there")
def writes(path):
    try:
        open(path, "w").close()
        return True
    except OSError as error:
        return errno.errorcode[error.errno]
answer([writes("tree/file"), writes("there/file")])
"""
    )
    assert found == [True, "EROFS"]


def test_pivot_root_onto_itself(alone):
    found = alone(
        """
private_mounts()
os.mkdir("inside")
mount.pivot_root(b".", b".")
mount.umount2(b".", MNT.DETACH)
os.chdir("/")
answer(os.listdir("/"))
"""
    )
    assert found == ["inside"]
