"""As `/usr/bin/time -o FILE -f '%U %S %e %M' COMMAND...`, to the millisecond: timed.py FILE COMMAND..."""

import resource
import subprocess
import sys
import time

start = time.monotonic()
code = subprocess.run(sys.argv[2:]).returncode
wall = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    file.write(f"{used.ru_utime:.3f} {used.ru_stime:.3f} {wall:.3f} {used.ru_maxrss}\n")
sys.exit(code)
