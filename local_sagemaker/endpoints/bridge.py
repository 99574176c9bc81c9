"""Reach a container in a network namespace of its own: a Unix socket outside leads to its port inside.

Run as a program inside the namespace (``python -I -S bridge.py SOCKET PORT command…``): it starts the command, forwards
every connection to SOCKET to 127.0.0.1:PORT, and ends with the command. Standard library only.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

_CHUNK = 64 * 1024


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except OSError:
        pass
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _forward(outer: socket.socket, port: int) -> None:
    with outer:
        try:
            inner = socket.create_connection(("127.0.0.1", port))
        except OSError:  # nobody listens yet: the caller sees a closed connection
            return
        with inner:
            back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
            back.start()
            _pump(outer, inner)
            back.join()


def _accept(server: socket.socket, port: int) -> None:
    while True:
        outer, _ = server.accept()
        threading.Thread(target=_forward, args=(outer, port), daemon=True).start()


def main(argv: list[str]) -> int:
    path, port, command = argv[0], int(argv[1]), argv[2:]
    # The whole process group is signalled; this process must outlive the command, to end with its exit code.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(128)
        threading.Thread(target=_accept, args=(server, port), daemon=True).start()
        try:
            code = subprocess.Popen(command, start_new_session=False).wait()
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            code = 127
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # os._exit: threads that still pump must not delay the end.
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
