#!/usr/bin/env python3
"""Run the benchmarks: every server in turn within each round, one JSON line a result, and a table of ratios at the end."""
import argparse
import json
import os
import sys

import rows
import rows_files
import rows_generations
import rows_shaping
import servers

ALL = rows.ALL + rows_shaping.ALL + rows_files.ALL + rows_generations.ALL


class Options:
    def __init__(self, args):
        self.build = os.path.abspath(args.build)
        self.quick, self.full = args.quick, args.full
        self.rounds = 1 if args.quick else args.rounds
        self.warmup_s = 0.3 if args.quick else args.warmup
        self.window_s = 0.7 if args.quick else args.window
        self.file = open(args.json, "a", encoding="utf-8") if args.json else None

    def scale(self, number):
        return number // 10 if self.quick else number

    def emit(self, result):
        line = json.dumps(result)
        print(line, flush=True)
        if self.file:
            print(line, file=self.file, flush=True)

    @staticmethod
    def note(text):
        print(f"# {text}", flush=True)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    keys = [row.key for row in ALL]
    parser.add_argument("--build", default="build", help="where the binaries are")
    parser.add_argument("--only", default=",".join(keys), help="of " + ",".join(keys))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmup", type=float, default=2, help="seconds")
    parser.add_argument("--window", type=float, default=5, help="seconds")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: does it run at all")
    parser.add_argument("--full", action="store_true", help="ten million records to catch up with, not one")
    parser.add_argument("--json", help="append the JSON lines to this file")
    return parser.parse_args(argv)


def print_table(lines):
    print("\n| what | headgate | compared with | ratio | goal | cores used |\n|---|---|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def main(argv):
    args = parse(argv)
    options = Options(args)
    wanted = args.only.split(",")
    limit = servers.raise_descriptor_limit()
    if limit < 11000:
        options.note(f"the descriptor limit is {limit}: the idle subscribers need 10,100")
    if not servers.Nchan.available():
        options.note("Nchan is left out: install the packages nginx and libnginx-mod-nchan")
    done, failed = [], False
    for row in (kind(options) for kind in ALL if kind.key in wanted):
        options.note(" ".join(row.text.split()))
        try:
            row.run()
            done += row.table()
        except servers.BenchFailed as error:
            options.note(f"{row.key}: failed: {error}")
            failed = True
    print_table(done)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
