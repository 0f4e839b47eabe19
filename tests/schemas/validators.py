"""The validators from npm, installed once into build/node/schemas; ajv for Python tests."""

import filecmp
import json
import os
import shutil
import subprocess
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SCHEMAS = os.path.join(ROOT, "schemas")
MODULES = os.path.join(ROOT, "build", "node", "schemas")


def install():
    """Skips the test where Node.js or npm is missing or npm reaches no registry."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("needs node and npm")
    wanted, stamp = os.path.join(HERE, "package.json"), os.path.join(MODULES, "installed.json")
    if os.path.exists(stamp) and filecmp.cmp(wanted, stamp, shallow=False):
        return MODULES
    os.makedirs(MODULES, exist_ok=True)
    shutil.copy(wanted, os.path.join(MODULES, "package.json"))
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=MODULES, capture_output=True, text=True, timeout=400, check=False,
    )
    if done.returncode:
        pytest.skip("npm install failed: " + done.stderr.strip()[-300:])
    shutil.copy(wanted, stamp)
    return MODULES


def node(*arguments):
    return subprocess.run(
        ["node", os.path.join(HERE, "check.mjs"), install(), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )


def verdicts(cases):
    """What ajv says of each {"schema": id or schema, "value": any}: "" or the errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(cases, f)
        f.flush()
        done = node("values", f.name)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
