"""A worker that does as the file ``behaviour`` in the study's folder says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from bitswath.models.study.work.store import Store


def main() -> None:
    """Go wrong on the first cell if it has not been tried, else settle all as done."""
    task = json.loads(sys.stdin.readline())
    folder = Path(task["folder"])
    store, behaviour = Store(folder), (folder / "behaviour").read_text()
    for digest in task["digests"]:
        if behaviour == "at once":
            sys.exit("gone before it began")
        store.begin(digest)
        print(json.dumps({"digest": digest, "event": "begun"}), flush=True)
        if not (folder / "went wrong").exists():
            (folder / "went wrong").touch()
            if behaviour == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if behaviour == "raises":
                raise ZeroDivisionError("nobody foresaw this")
            while behaviour in ("silent", "endless"):
                time.sleep(0.1)
                if behaviour == "endless":
                    print(json.dumps({"digest": digest, "event": "progress", "share": 0.5}), flush=True)
        store.finish(digest, {}, 0.0)
        print(json.dumps({"digest": digest, "event": "done"}), flush=True)


if __name__ == "__main__":
    main()
