#!/usr/bin/python3
"""Makes the SQLite database of the example, or adds orders to it.  make-db.py FILE [COUNT]"""

import sqlite3
import sys

path = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
with sqlite3.connect(path) as shop:
    shop.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
    shop.execute("""CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, region TEXT NOT NULL,
                    amount REAL NOT NULL, paid BOOLEAN NOT NULL, placed_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)""")
    (last,) = shop.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()
    shop.executemany(
        "INSERT INTO orders (id, region, amount, paid) VALUES (?, ?, ?, ?)",
        [(n, ["north", "south", "west"][n % 3], n * 1.5, n % 2) for n in range(last + 1, last + count + 1)],
    )
shop.close()
