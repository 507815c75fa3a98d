"""``python -m bitswath.hw.worker job.json``: a job in, files and lines of JSON out.

Each line of the standard output is an object: `{"step": name}` as a step begins, at the end `{"done": true}` or
`{"error": message}`. Everything else that FINN says goes to the standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from bitswath.basics.schema import parse_json
from bitswath.errors import BitswathError, BuildError
from bitswath.hw.worker.flow import Job, generate


def main(path: str) -> int:
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as lines:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # FINN prints

        def tell(**line: object) -> None:
            lines.write(json.dumps(line) + "\n")

        try:
            generate(parse_json(Job, Path(path).read_bytes(), BuildError), lambda name: tell(step=name))
        except BitswathError as error:
            tell(error=str(error))
            return 1
        except Exception as error:  # whatever FINN raises ends the job; the log has the whole story
            traceback.print_exc()
            tell(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            return 1
        tell(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
