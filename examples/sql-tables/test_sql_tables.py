"""The example's commands, on an SQLite file that its script makes and on a PostgreSQL of the test's own."""

import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "sql"))
import postgres  # noqa: E402


class Lite:
    config = "sqlite.yaml"

    def __init__(self, directory):
        self.address = str(directory / "shop.db")
        self.add(1000)

    def add(self, count):
        subprocess.run([os.path.join(HERE, "make-db.py"), self.address, str(count)], check=True)

    def close(self):
        pass


class Postgres:
    config = "postgres.yaml"

    def __init__(self, _directory):
        if why := postgres.available():
            pytest.skip(why)
        self.server = postgres.Postgres()
        self.address = self.server.dsn
        with open(os.path.join(HERE, "postgres.sql"), encoding="utf-8") as file:
            self.server.sql(file.read())

    def add(self, count):
        self.server.sql("insert into orders (region, amount, paid)"
                        f" select 'north', n, true from generate_series(1, {count}) n")

    def close(self):
        self.server.close()


@pytest.mark.parametrize("kind", (Lite, Postgres))
def test_the_commands_of_the_readme(kind, example, tmp_path):
    database = kind(tmp_path)
    try:
        gateway = example(HERE, database.config, DATABASE=database.address)
        curl = ["curl", "-sSfN", "--max-time", "60"]
        base = f"http://127.0.0.1:{gateway.port}"

        def rows(target):
            done = subprocess.run([*curl, base + target], capture_output=True, text=True, check=True)
            return [json.loads(line) for line in done.stdout.splitlines()]

        north = rows("/orders?region=north&least=100&envelope=data")
        assert [row["id"] for row in north] == [n for n in range(1, 1001) if n % 3 == 0 and n * 1.5 >= 100]
        assert all(row["paid"] is (row["id"] % 2 == 1) and row["amount"] == row["id"] * 1.5 for row in north)
        assert north[0]["placed_at"].endswith("Z") and "T" in north[0]["placed_at"]
        array = subprocess.run([*curl, base + "/streams/orders?region=north&format=json&envelope=data"],
                               capture_output=True, text=True, check=True)
        assert len(json.loads(array.stdout)) == 333
        records = [line for line in rows("/orders?region=north") if "data" in line]
        rest = rows(f"/orders?region=north&from={records[299]['id']}&envelope=data")
        assert [row["id"] for row in rest] == [record["data"]["id"] for record in records[300:]]
        live = gateway.subscribe("new-orders", "ndjson")
        database.add(10)
        assert [json.loads(message.text)["data"]["id"] for message in live.records(10)] == list(range(1001, 1011))
    finally:
        database.close()
