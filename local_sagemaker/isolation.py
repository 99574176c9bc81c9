"""A network namespace of its own for a child: nothing but its own loopback.

Run as a program (``python -I -S isolation.py -- command…``) it enters a new namespace, brings the loopback up and
becomes the command. As root that needs one system call; without root a user namespace comes with it, where the kernel
allows.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

#: The program's exit code when the kernel refuses the namespace.
REFUSED = 113


def enter() -> None:
    """Move this process into a new network namespace with the loopback up.

    Raises:
        OSError: the kernel refuses.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNET)
    except OSError:
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{file}").write_text(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(handle, _SIOCGIFFLAGS, request))
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(argv: list[str]) -> None:
    try:
        enter()
    except OSError as error:
        print(f"no network namespace: {error.strerror}", file=sys.stderr)
        sys.exit(REFUSED)
    command = argv[argv.index("--") + 1 :]
    try:
        os.execvpe(command[0], command, os.environ)  # noqa: S606  (the command is the caller's own)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv)
