#!/usr/bin/python3
"""Makes what the example serves: templates.db, files/ and answers/ in a directory.  make-data.py DIR

make-data.py DIR --event TEXT adds a row to the table of events, which follows live."""

import datetime
import json
import os
import sqlite3
import sys

SCHEMA = """
CREATE TABLE readings (id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, celsius REAL NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, active BOOLEAN NOT NULL);
CREATE TABLE points (id INTEGER PRIMARY KEY, x REAL NOT NULL, y REAL NOT NULL);
"""
ANSWER = ("A headgate decides how much of a stream goes down each ditch. "
          "This answer was recorded, token by token, and is replayed at the pace at which it came.")


def make_database(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
        database.executescript(SCHEMA)
        many = database.executemany
        many("INSERT INTO readings VALUES (?, ?, ?)", ((n, f"sensor-{n % 7}", 20 + n % 50 / 10) for n in range(1, 5001)))
        many("INSERT INTO events VALUES (?, 'started', ?)", ((n, f"event {n}") for n in range(1, 4)))
        many("INSERT INTO users VALUES (?, ?, ?, ?)",
             ((n, f"user {n}", ["de", "fr", "jp"][n % 3], n % 2) for n in range(1, 1001)))
        many("INSERT INTO points VALUES (?, ?, ?)", ((n, n / 2, n * n % 1000) for n in range(1, 20001)))
    database.close()


def make_answer(path):
    at = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)
    with open(path, "w", encoding="utf-8") as file:
        for word in ANSWER.split(" "):
            file.write(json.dumps({"at": at.isoformat(timespec="milliseconds"), "token": word + " "}) + "\n")
            at += datetime.timedelta(milliseconds=40)


def main(directory, *more):
    database = os.path.join(directory, "templates.db")
    if more[:1] == ("--event",):
        with sqlite3.connect(database) as opened:
            opened.execute("INSERT INTO events (kind, text) VALUES ('said', ?)", (more[1],))
        opened.close()
        return
    os.makedirs(os.path.join(directory, "files"))
    os.makedirs(os.path.join(directory, "answers"))
    make_database(database)
    make_answer(os.path.join(directory, "answers", "headgate.ndjson"))
    with open(os.path.join(directory, "files", "report.csv"), "w", encoding="utf-8") as file:
        file.write("n,square\n")
        file.writelines(f"{n},{n * n}\n" for n in range(200_000))


main(*sys.argv[1:])
