#!/usr/bin/python3
"""`make test-debian13`: deploy/Dockerfile's steps in a chroot of Debian 13's packages, then the unit tests and the
smoke tests in it. Everything is kept below build/debian13; remove that to begin anew. Needs root.

  tests/debian13/run.py build      the image, and what the tests need
  tests/debian13/run.py test       the tests in what was built last"""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import dockerfile  # noqa: E402

WORK = os.environ.get("DEBIAN13_DIR") or os.path.join(ROOT, "build", "debian13")
TEST_ROOT = os.path.join(WORK, "test")
JOBS = str(os.cpu_count() or 2)
TEST_PACKAGES = "check libsubunit-dev python3 python3-pytest python3-yaml python3-confluent-kafka curl kcat procps iproute2"


def log(text):
    print("--- " + text, flush=True)


def mirror():
    """Where this machine gets Debian from: the first archive that its own apt configuration names."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Created-By: Packages"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    for line in targets:
        uri, _, origin = line.partition(" ")
        if origin == "Debian" and "security" not in uri:
            return uri
    raise SystemExit("debian13: apt knows no Debian archive here; run apt-get update")


def base(root):
    """debian:trixie-slim, as near as packages come to it: unpacked into root."""
    tar = os.path.join(WORK, "base.tar")
    if not os.path.exists(tar):
        log("Debian 13 base system")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "trixie",
             tar + ".tmp.tar", mirror()],
            check=True, timeout=900,
        )
        os.rename(tar + ".tmp.tar", tar)
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    subprocess.run(["tar", "-C", root, "-xf", tar], check=True)


def check_image(stage, root):
    """What runs in the image: as its user, by its entry point, with the libraries that it installed."""
    program = json.loads(stage.meta("ENTRYPOINT"))[0]
    user = stage.meta("USER")
    done = dockerfile.Chroot(root).run(
        "%s version --json" % program, user=user, stdout=subprocess.PIPE, text=True
    )
    versions = json.loads(done.stdout)
    log("image: " + done.stdout.strip())
    if not versions["libwebsockets"].startswith("4.3."):
        raise SystemExit("debian13: not Debian 13's libwebsockets: " + versions["libwebsockets"])


def test_root(builder):
    """A copy of the builder with the packages of the tests; kept while the lists stay the same."""
    root = TEST_ROOT
    stamp = os.path.join(WORK, "test.packages")
    layer = [d for d in os.listdir(WORK) if d.startswith("layer-builder-") and not d.endswith(".tmp")]
    want = TEST_PACKAGES + " " + " ".join(sorted(layer))
    have = open(stamp, encoding="utf-8").read() if os.path.exists(stamp) else ""
    if have != want or not os.path.isdir(root):
        log("test packages")
        shutil.rmtree(root, ignore_errors=True)
        dockerfile.copy_tree(builder, root)
        dockerfile.Chroot(root).run(
            "apt-get -q update && apt-get -q install -y --no-install-recommends " + TEST_PACKAGES,
            stdout=subprocess.DEVNULL,
        )
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(want)
    build = os.path.join(root, "src", "build")
    kept = build + ".kept"
    shutil.rmtree(kept, ignore_errors=True)
    if os.path.isdir(build):
        os.rename(build, kept.replace("/src/", "/"))
        kept = kept.replace("/src/", "/")
    shutil.rmtree(os.path.join(root, "src"), ignore_errors=True)
    dockerfile.tracked_copy(ROOT, os.path.join(root, "src"))
    if os.path.isdir(kept):
        os.rename(kept, build)
    return dockerfile.Chroot(root)


def build():
    os.makedirs(WORK, exist_ok=True)
    stages = dockerfile.parse(os.path.join(ROOT, "deploy", "Dockerfile"))
    roots = dockerfile.build(stages, ROOT, base, WORK, log)
    check_image(stages[-1], roots[stages[-1].name])
    chroot = test_root(roots["builder"])
    log("build of the unit tests")
    chroot.run("make -k -O -j%s build-unit e2e-tools" % JOBS, cwd="/src")


def test():
    chroot = dockerfile.Chroot(TEST_ROOT)
    log("unit tests")
    chroot.run("make -k -O -j%s unit" % JOBS, cwd="/src")
    log("smoke tests")
    chroot.run("make smoke", cwd="/src", env={"FUZZ_E2E_SECONDS": "10"})


def main():
    if os.geteuid() != 0:
        raise SystemExit("debian13: needs root for chroot and mounts")
    steps = {"build": build, "test": test}
    if sys.argv[1:2] not in [[name] for name in steps]:
        raise SystemExit("usage: run.py build|test")
    steps[sys.argv[1]]()
    log("debian13: %s: passed" % sys.argv[1])


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failed:
        raise SystemExit("debian13: failed: %s" % failed)
