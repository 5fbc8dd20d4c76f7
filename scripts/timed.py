"""As `/usr/bin/time -o FILE -f '%U %S %e %M' COMMAND...`, to the millisecond: timed.py FILE COMMAND..."""

import resource
import subprocess
import sys
import time

before = resource.getrusage(resource.RUSAGE_CHILDREN)  # of what started this, if it became this
start = time.monotonic()
code = subprocess.run(sys.argv[2:]).returncode
wall = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    user, system = used.ru_utime - before.ru_utime, used.ru_stime - before.ru_stime
    file.write(f"{user:.3f} {system:.3f} {wall:.3f} {used.ru_maxrss}\n")
sys.exit(code)
