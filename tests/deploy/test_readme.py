"""README.md: its configuration is valid, and what it names is there."""

import os
import re
import shlex
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEADGATE = os.path.join(ROOT, "build", "headgate")

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    README = file.read()


def blocks(language):
    return re.findall(r"^```%s\n(.*?)^```" % language, README, re.M | re.S)


def test_configurations_are_valid(tmp_path):
    """The first is a whole file, the others are parts of one."""
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4)
    first, *parts = blocks("yaml")
    for n, config in enumerate([first, *("admin: 127.0.0.1:0\n" + part for part in parts)]):
        path = tmp_path / f"{n}.yaml"
        path.write_text(re.sub(r"\$\{file:[^}]*\}", "${file:%s}" % secret, config))
        environment = {**os.environ, "DATABASE_URL": "postgresql://localhost/shop", "ANTHROPIC_API_KEY": "k"}
        done = subprocess.run(
            [HEADGATE, "check", "-c", path], capture_output=True, text=True, timeout=20, check=False, env=environment)
        assert done.returncode == 0, done.stderr + config


def test_commands_take_their_options():
    """Each line that starts the program: the subcommand exists and its help names every option used."""
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    used = [words for words in lines if words and words[0] == "build/headgate"]
    assert {words[1] for words in used} == {"tail", "check", "run"}
    for words in used:
        done = subprocess.run(
            [HEADGATE, words[1], "--help"], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 0
        for option in [word for word in words if word.startswith("-")]:
            assert option in done.stdout, (words, option)


def test_named_targets_exist():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as makefile:
        targets = set(re.findall(r"^([a-z0-9-]+):", makefile.read(), re.M))
    sentence = re.search(r"lists the targets: (.*?) among them", README, re.S)[1]
    named = re.findall(r"`([a-z0-9-]+)`", sentence) + re.findall(r"(?:^ +|`)make ([a-z0-9-]+)", README, re.M)
    assert set(named) <= targets


def test_named_files_exist():
    named = re.findall(r"`((?:schemas|gateway|connectors|deploy|examples)/[\w./-]*)`", README)
    named += re.findall(r"kubectl apply -k (\S+?)`", README)
    assert named
    assert [name for name in named if not os.path.exists(os.path.join(ROOT, name))] == []
