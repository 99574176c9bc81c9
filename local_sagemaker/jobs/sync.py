"""A folder that is copied to S3 while a job runs: checkpoints, and outputs with S3UploadMode Continuous.

As on AWS only new and changed files are sent, and nothing is deleted in S3. A file is sent once it did not change
between two looks, so a file that is being written is not sent half; the last pass, when nobody writes any more, sends
all the rest.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from local_sagemaker.objects import ObjectError, Objects

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class FolderSync:
    """Sends ``folder`` to ``uri`` every ``interval`` seconds between :meth:`start` and :meth:`finish`."""

    def __init__(self, objects: Objects, folder: Path, uri: str, interval: float, role_arn: str) -> None:
        self._objects = objects
        self._folder = folder
        self._base = uri if uri.endswith("/") else uri + "/"
        self._interval = interval
        self._role_arn = role_arn
        self._seen: dict[Path, _Stamp] = {}
        self._sent: dict[Path, _Stamp] = {}
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """What is in the folder now counts as sent: it was just downloaded from there."""
        self._sent = self._look()
        self._thread = threading.Thread(target=self._run, name=f"sync {self._folder.name}", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End without a last pass."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """End with a pass that sends everything that is new.

        Raises:
            ObjectError, OSError: it could not be sent.
        """
        self.cancel()
        for path, stamp in self._look().items():
            self._send(path, stamp)

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            try:
                now = self._look()
                for path, stamp in now.items():
                    if self._seen.get(path) == stamp:
                        self._send(path, stamp)
                self._seen = now
            except (ObjectError, OSError) as error:  # the last pass tries again and tells
                _log.warning("could not copy %s to %s: %s", self._folder, self._base, error)

    def _send(self, path: Path, stamp: _Stamp) -> None:
        if self._sent.get(path) == stamp:
            return
        try:
            self._objects.upload_file(
                path, self._base + path.relative_to(self._folder).as_posix(), role_arn=self._role_arn
            )
        except FileNotFoundError:  # removed since we looked, as old checkpoints are
            return
        self._sent[path] = stamp

    def _look(self) -> dict[Path, _Stamp]:
        found: dict[Path, _Stamp] = {}
        for root, folders, names in os.walk(self._folder):
            folders.sort()
            for name in sorted(names):
                path = Path(root, name)
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                if path.is_file():
                    found[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return found
