"""Runs a training in a process of its own and ends it as a system does that shuts down."""

import signal
import subprocess
import sys
from collections.abc import Sequence


def terminated(arguments: Sequence[str]) -> tuple[int, str]:
    """`python -m training` with these arguments, ended by SIGTERM as soon as it has begun: exit code and stderr."""
    process = subprocess.Popen((sys.executable, "-m", "training", *arguments), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        before = []
        for line in process.stderr:
            before.append(line)
            if "from step 0" in line:
                break
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=90)[1]
    finally:
        process.kill()
        process.wait()
    return process.returncode, "".join(before) + said
