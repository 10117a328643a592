"""A stage's process that takes no time: it hands over the result that lies ready for it.

Run without site-packages, with the folder of the results and the most milliseconds to wait. Like a real one it goes
when whoever started it is gone.
"""

import json
import os
import random
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path


def leave_with_parent():
    while os.read(0, 1):
        pass
    os._exit(1)


def now():
    return datetime.now(UTC).isoformat(timespec="microseconds")


job = json.loads(sys.stdin.buffer.readline())
threading.Thread(target=leave_with_parent, daemon=True).start()
results, most = Path(sys.argv[1]), float(sys.argv[2])
with (results / "started.log").open("a") as log:
    log.write(f"{job['stage']}\n")
result = json.loads((results / f"{job['stage']}.json").read_bytes())
result["run"]["started"] = now()
time.sleep(random.random() * most / 1000)
result["run"]["ended"] = now()
partial = Path(job["folder"], ".partial")
partial.write_text(json.dumps(result))
time.sleep(random.random() * most / 1000)
partial.replace(Path(job["folder"], "result.json"))
