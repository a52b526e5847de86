"""Repeat the campaign with fresh seeds for hours, and keep counters.

    python tests/soak.py --minutes 170 --counters soak.json

The parts of the menu take turns. Counters are read from the file and written after each part, so a
soak may be stopped and gone on with. Any failure ends it with the command that shows it again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "faults"))
import disk_faults  # noqa: E402

# name -> (script, arguments that size it, whether it runs under the fault library, what it counts)
MENU = {
    "failing I/O calls": ("faults/io_faults.py", ["--every", "1"], True, "runs"),
    "power cuts": ("faults/crash_states.py", ["--states", "15000"], True, "states"),
    "power cuts, durability os": (
        "faults/crash_states.py", ["--states", "5000", "--durability", "os"], True, "states",
    ),
    "kill -9": (
        "kill_loop.py",
        ["--kills", "200", "--longest", "0.5", "--seal-rows", "256", "--snapshot-every", "7"],
        False, "kills",
    ),
    "damaged files": ("faults/damaged_rows.py", ["--damages", "5000"], False, "damages"),
    "model operations": (
        "faults/model_runs.py", ["--operations", "200000", "--restarts", "400"], False,
        "operations",
    ),
}  # fmt: skip


def run_part(name, seed, library, timeout):
    """Run one part; gives (how much was done, what it said)."""
    script, size, needs_faults, unit = MENU[name]
    command = [sys.executable, "-W", "ignore", TESTS / script, *size, "--seed", str(seed)]
    environment = dict(os.environ)
    if needs_faults:
        environment["LD_PRELOAD"] = str(library)
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    if ran.returncode != 0:
        shown = " ".join(map(str, command))
        sys.exit(f"{name} failed: {shown}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")
    said = json.loads(ran.stdout)
    return int(said[unit]), said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=170)
    parser.add_argument("--rounds", type=int, default=0, help="0: until the time is over")
    parser.add_argument("--counters", type=Path, default=Path("soak.json"))
    parser.add_argument("--only", choices=sorted(MENU), action="append", help="may be repeated")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    counters = json.loads(options.counters.read_text()) if options.counters.exists() else {}
    names = options.only or [name for name in MENU if disk_faults.available() or not MENU[name][2]]
    with tempfile.TemporaryDirectory() as scratch:
        library = disk_faults.build(scratch) if disk_faults.available() else None
        rounds = 0
        while time.monotonic() < ends and (not options.rounds or rounds < options.rounds):
            for name in names:
                left = ends - time.monotonic()
                if left <= 0:
                    break
                known = counters.setdefault(name, {"done": 0, "turns": 0, "seconds": 0.0})
                started = time.monotonic()
                done, said = run_part(name, known["turns"], library, timeout=3 * 3600)
                known["done"] += done
                known["turns"] += 1
                known["seconds"] = round(known["seconds"] + time.monotonic() - started, 1)
                options.counters.write_text(json.dumps(counters, indent=1))
                brief = {key: value for key, value in said.items() if key != "by"}
                print(f"{name}: {json.dumps(brief)}", flush=True)
            rounds += 1
    for name, known in counters.items():
        print(f"{name}: {known['done']:,} in {known['seconds']:,.0f} s, no failure")


if __name__ == "__main__":
    main()
