"""Reads a Dockerfile into stages of (instruction, rest of line), and carries out the build in plain directories with
chroot. It knows what deploy/Dockerfile uses, refuses the rest, and runs each RUN as Docker does: /bin/sh -c."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess

METADATA = ("LABEL", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD")


class Stage:
    def __init__(self, image, name):
        self.image = image
        self.name = name
        self.steps = []

    def meta(self, instruction):
        """The last value of an instruction that only sets metadata."""
        found = [rest for word, rest in self.steps if word == instruction]
        return found[-1] if found else None


def parse(path):
    with open(path, encoding="utf-8") as f:
        text = f.read().replace("\\\n", " ")
    stages = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        word, rest = line.split(None, 1)
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(image.strip(), name.strip() or "final"))
        else:
            stages[-1].steps.append((word, rest.strip()))
    return stages


class Chroot:
    """A root file system in a directory: made from a base, with /proc and /dev while commands run."""

    def __init__(self, root):
        self.root = root

    def run(self, command, cwd="/", env=None, user=None, timeout=1200, **options):
        """Run a shell command inside, in a mount namespace of its own. Raises CalledProcessError."""
        setup = (
            "mount -t proc proc {r}/proc && mount --rbind /dev {r}/dev && "
            "cp -L /etc/resolv.conf {r}/etc/resolv.conf 2>/dev/null; "
            "exec chroot {u} {r} /bin/sh -c {c}"
        ).format(
            r=shlex.quote(self.root),
            u="--userspec=%s" % user if user else "",
            c=shlex.quote("cd %s && %s" % (shlex.quote(cwd), command)),
        )
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
        }
        environment.update({k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")})
        environment.update(env or {})
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             "sh", "-ec", setup],
            env=environment, check=True, timeout=timeout, stdin=subprocess.DEVNULL, **options
        )


def copy_tree(source, target):
    os.makedirs(target, exist_ok=True)
    subprocess.run(["cp", "-a", source.rstrip("/") + "/.", target], check=True)


def tracked_copy(tree, target):
    """The tree as git sees it: tracked files and new ones, nothing ignored."""
    os.makedirs(target, exist_ok=True)
    names = subprocess.run(
        ["git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True,
    ).stdout.split(b"\0")
    names = [n for n in names if n and os.path.lexists(os.path.join(os.fsencode(tree), n))]
    tar = subprocess.Popen(
        ["tar", "-C", tree, "--null", "-T", "-", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    untar = subprocess.Popen(["tar", "-C", target, "--no-same-owner", "-x"], stdin=tar.stdout)
    tar.stdin.write(b"\0".join(names))
    tar.stdin.close()
    if untar.wait() or tar.wait():
        raise RuntimeError("copying the tree failed")


def build(stages, context, base, work, log):
    """Carry out every stage below work/NAME. What comes before a stage's first COPY is kept between runs while
    its text stays the same. Returns {name: root}."""
    roots = {}
    for stage in stages:
        root = roots[stage.name] = os.path.join(work, stage.name)
        first_copy = next(i for i, (word, _) in enumerate(stage.steps) if word == "COPY")
        key = hashlib.sha256(json.dumps([stage.image, stage.steps[:first_copy]]).encode()).hexdigest()
        layer = os.path.join(work, "layer-%s-%s" % (stage.name, key[:12]))
        shutil.rmtree(root, ignore_errors=True)
        if not os.path.isdir(layer):
            base(layer + ".tmp")
            run_steps(stage.steps[:first_copy], layer + ".tmp", context, roots, log)
            os.rename(layer + ".tmp", layer)
        copy_tree(layer, root)
        run_steps(stage.steps, root, context, roots, log, start=first_copy)
    return roots


def run_steps(steps, root, context, roots, log, start=0):
    cwd, env = "/", {}
    for i, (word, rest) in enumerate(steps):
        if word == "WORKDIR":
            cwd = rest
            os.makedirs(root + cwd, exist_ok=True)
        elif word == "ARG":
            name, _, value = rest.partition("=")
            env[name] = value
        elif i < start or word in METADATA:
            continue
        elif word == "RUN":
            log("RUN " + rest)
            Chroot(root).run(rest, cwd=cwd, env=env)
        elif word == "COPY":
            log("COPY " + rest)
            words = rest.split()
            if words[0].startswith("--from="):
                copy_tree(roots[words[0][7:]] + words[1], root + words[2])
            elif words == [".", "."]:
                tracked_copy(context, root + cwd)
            else:
                raise ValueError("COPY of a kind that is not known here: " + rest)
        else:
            raise ValueError("instruction not known here: " + word)
