#!/usr/bin/python3
"""Rows of PostgreSQL to one NDJSON subscriber, against psql's \\copy of the same rows as JSON.

Data: a table of an integer key, a text, a double and a timestamp, in key order; envelope=data. Both write to /dev/null, in
turns, each from its process's start to its exit. Statistic: the median of the ratios within a round; the gateway's resident set,
looked at ten times a second, after the first tenth and at its largest. Misleads: server and clients share the machine, and the first
reader of a table pays for its pages: one round is thrown away.

  tests/bench/sql_rows.py [--rows 10000000] [--rounds 3] [--page 2000]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests", name) for name in ("e2e", "sql", "kafka")]
import harness  # noqa: E402
import postgres  # noqa: E402

TABLE = """create table t (id bigint primary key, sensor text not null, celsius double precision, at timestamptz);
insert into t select n, 'sensor-' || n % 1000, 20 + (n % 997) / 10.0, timestamptz '2026-01-31 12:00:00Z' + n * interval '1 ms'
from generate_series(1, {}) n; analyze t; checkpoint"""
QUERY = "select id, sensor, celsius, at from t"


def timed(command):
    since = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(command, stdout=nowhere, check=True)
    return time.monotonic() - since


def watched(gateway, command):
    """(seconds, resident bytes when a tenth of the time has passed, at the most)"""
    seen, over = [], threading.Event()

    def look():
        while not over.wait(0.1):
            seen.append(gateway.rss_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    took = timed(command)
    over.set()
    thread.join()
    return took, seen[len(seen) // 10], max(seen)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=int, default=2000)
    options = parser.parse_args()
    server = postgres.Postgres(max_wal_size="4GB", shared_buffers="512MB")
    with tempfile.TemporaryDirectory() as directory:
        gateway = harness.Gateway(directory, {"streams": {"t": {"source": {"sql": {
            "postgres": server.dsn, "query": QUERY, "key": "id", "page": options.page}}}}})
        try:
            server.sql(TABLE.format(options.rows))
            gateway.start()
            curl = ["curl", "-sSfN", f"http://127.0.0.1:{gateway.port}/streams/t?envelope=data"]
            psql = [os.path.join(server.bin, "psql"), "-X", "-q", "-d", server.dsn, "-c",
                    f"\\copy (select row_to_json(r) from ({QUERY} order by id) r) to stdout"]
            timed(psql)
            ratios = []
            for number in range(options.rounds):
                theirs = timed(psql)
                ours, early, most = watched(gateway, curl)
                ratios.append(theirs / ours)
                print(json.dumps({
                    "bench": "sql", "round": number, "rows": options.rows, "rows_per_s": round(options.rows / ours),
                    "psql_rows_per_s": round(options.rows / theirs), "ratio": round(theirs / ours, 3),
                    "rss_early_mib": round(early / 2**20, 1), "rss_most_mib": round(most / 2**20, 1),
                    "records_out": gateway.metric("records_out_total", stream="t")}), flush=True)
            print(json.dumps({"bench": "sql", "ratio_median": round(statistics.median(ratios), 3)}))
        finally:
            gateway.stop()
            server.close()


if __name__ == "__main__":
    main()
