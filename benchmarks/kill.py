"""Kill a run at random moments, run again, and compare every output with an uninterrupted run.

    python benchmarks/kill.py recipes/quickstart.toml --kills 5

The whole process group is killed with SIGKILL.  Two run folders are left in `--folder`.  The exit
status is 1 if a file that does not depend on the clock differs or a process outlives the kill.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tongwen.recipe import load_recipe
from tongwen.record import Record, read_record
from tongwen.run import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/kill"))
    parser.add_argument("--whole", type=Path, help="a finished run of this recipe to compare with")
    options = parser.parse_args()
    killed = write_variant(options.recipe, options.folder.resolve() / "killed")
    whole = options.whole or options.folder.resolve() / "whole"
    if options.whole is None:
        started = time.monotonic()
        subprocess.run(command(write_variant(options.recipe, whole)), check=True)
        print(f"uninterrupted: {time.monotonic() - started:.0f} s")
    seconds = sum(step.seconds for step in records(whole).values())
    survivors = kill_often(killed, seconds, options.kills, random.Random(options.seed))
    subprocess.run(command(killed), check=True)
    sys.exit(1 if compare(whole, options.folder.resolve() / "killed") or survivors else 0)


def command(recipe: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "tongwen.cli", "run", str(recipe)]


def write_variant(recipe: Path, folder: Path) -> Path:
    """The same recipe with another run folder, beside the original so that its paths hold."""
    text, count = re.subn(
        r'^folder = ".*?"', f'folder = "{folder}"', recipe.read_text(encoding="utf-8"), flags=re.M
    )
    assert count == 1, "the recipe has no [run] folder line"
    variant = recipe.with_name(f".{recipe.stem}.{folder.name}.toml")
    variant.write_text(text, encoding="utf-8")
    assert load_recipe(variant).folder == folder
    return variant


def kill_often(recipe: Path, seconds: float, kills: int, chance: random.Random) -> int:
    """Start, kill, start again ...; a kill falls into each of `kills` slices of the run's time."""
    survivors, done = 0, 0
    while done < kills:
        wait = seconds / kills * chance.uniform(0.3, 1.2)
        process = subprocess.Popen(
            command(recipe), start_new_session=True, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=wait)
            print("the run ended before the kill")
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        done += 1
        folder = str(load_recipe(recipe).folder)
        found = records(Path(folder))
        print(f"kill {done} after {wait:.0f} s: {len(found)} outputs done; {next_step(folder)}")
        survivors += count_survivors(folder)
    return survivors


def next_step(folder: str) -> str:
    begun = sorted(Path(folder).glob("*/.*.partial"))
    return ", ".join(f"in the middle of {path.parent.name}/{path.name[1:-8]}" for path in begun)


def count_survivors(folder: str) -> int:
    """Processes that still work in the folder a while after the kill."""
    time.sleep(3)
    lines = (" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))
    alive = [line for line in lines if folder in line]
    for line in alive:
        print(f"  outlived the kill: {line}")
    return len(alive)


def records(folder: Path) -> dict[str, Record]:
    run = RunFolder(folder)
    names = [path.parent.relative_to(folder).as_posix() for path in folder.glob("*/*/record.json")]
    return {name: record for name in sorted(names) if (record := run.record(name))}


def compare(whole: Path, killed: Path) -> int:
    """Print each output and whether its files are equal; returns how many are not."""
    bad = 0
    for name in sorted({*records(whole), *records(killed)}):
        one, other = read_record(whole / name), read_record(killed / name)
        files, others = (each.files_with_hash if each else {} for each in (one, other))
        same = one is not None and files == others
        bad += not same
        print(f"{'equal    ' if same else 'DIFFERENT'} {name} ({len(files)} files)")
    return bad


if __name__ == "__main__":
    main()
