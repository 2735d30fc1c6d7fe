"""Runs tests of build/release in a virtual machine: machine.py MACHINE [--accel kvm] [TEST...].
MACHINE is a folder with kernel, modules, busybox and QEMU. Runs inside the toolchain."""

import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
TESTS = ["worker_sandbox_test", "worker_gpu_test", "worker_limits_test"]
# In the order in which they need each other.
MODULES = ["fs/netfs/netfs", "net/9p/9pnet", "net/9p/9pnet_virtio", "fs/9p/9p",
           "fs/overlayfs/overlay"]
FOLDERS = ["bin", "dev", "memory", "modules", "new", "proc", "root"]
SECONDS_MAX = 3000
MEMORY = "6G"
CORES_MAX = 4
# What the worker must have found there, in the words of `cambrian-worker probe`.
WALLS = ['"level":"strict"', "control group v2", "landlock"]
TAIL_LINES = 40
# A test that is skipped there proves nothing, but for what no virtual machine has.
SKIPS = ["this machine has no GPU"]


def archive(entries):
    """A cpio archive (newc) of (name, mode, content)."""
    parts = []
    for inode, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        fields = [inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        parts += [head.ljust(-(-len(head) // 4) * 4, b"\0"),
                  content.ljust(-(-len(content) // 4) * 4, b"\0")]
    return b"".join(parts)


def first_file_system(machine):
    (modules,) = (machine / "usr/lib/modules").iterdir()
    entries = [(name, 0o040755, b"") for name in FOLDERS]
    entries.append(("bin/busybox", 0o100755, (machine / "usr/bin/busybox").read_bytes()))
    for place, name in enumerate(MODULES):
        content = lzma.decompress((modules / "kernel" / f"{name}.ko.xz").read_bytes())
        entries.append((f"modules/{place}.ko", 0o100644, content))
    entries.append(("init", 0o100755, (HERE / "init").read_bytes()))
    return archive(entries)


def command(machine, share, accel):
    (kernel,) = (machine / "boot").glob("vmlinuz-*")
    arguments = [machine / "usr/bin/qemu-system-x86_64", "-L", machine / "usr/share/qemu",
                 "-L", machine / "usr/share/seabios", "-nographic", "-no-reboot", "-net", "none",
                 "-accel", "tcg,thread=multi" if accel == "tcg" else accel,
                 "-cpu", "max" if accel == "tcg" else "host",
                 "-smp", min(os.cpu_count(), CORES_MAX), "-m", MEMORY, "-kernel", kernel,
                 "-initrd", share / "initramfs", "-append", "console=ttyS0 panic=-1 quiet"]
    shares = {"root": "path=/,security_model=none,readonly=on,multidevs=remap",
              "share": f"path={share},security_model=none"}
    for name, options in shares.items():
        arguments += ["-fsdev", f"local,id={name},{options}",
                      "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]
    return [str(one) for one in arguments]


def run_machine(machine, share, accel):
    libraries = machine / "usr/lib/x86_64-linux-gnu"
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{libraries}:{libraries}/pulseaudio"}
    with (share / "console.log").open("wb") as console:
        subprocess.run(command(machine, share, accel), env=environment, stdin=subprocess.DEVNULL,
                       stdout=console, stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=True)


def skips(log):
    """Why tests were skipped, in Catch2's report, where they should not have been."""
    reasons = re.findall(r"SKIPPED:\s*explicitly with message:\s*(.*)", log)
    return [reason for reason in reasons if not any(known in reason for known in SKIPS)]


def report(share, tests):
    """Prints what passed; True when everything did."""
    def tail(name):
        path = share / name
        text = path.read_text(errors="replace") if path.exists() else "(nothing)"
        print("\n".join(text.splitlines()[-TAIL_LINES:]))

    is_walled = True
    for who in ("root", "user"):
        probe = share / f"probe-{who}"
        found = probe.read_text() if probe.exists() else ""
        missing = [wall for wall in WALLS if wall not in found]
        print(f"walls for {who}: {'ok' if not missing else 'missing ' + ', '.join(missing)}")
        if missing:
            print(found)
            tail("probe.log")
            is_walled = False
    if not is_walled:
        tail("console.log")
    results = share / "results"
    lines = results.read_text().split() if results.exists() else []
    status = dict(zip(lines[::2], lines[1::2]))
    is_fine = is_walled
    for name in tests:
        verdict = "ok" if status.get(name) == "0" else status.get(name, "did not end")
        log = share / f"{name}.log"
        skipped = skips(log.read_text(errors="replace") if log.exists() else "")
        if verdict == "ok" and skipped:
            verdict = f"skipped: {'; '.join(skipped)}"
        print(f"{name}: {verdict}")
        if verdict != "ok":
            tail(log.name)
            is_fine = False
    return is_fine


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("machine", type=Path)
    parser.add_argument("--accel", choices=["tcg", "kvm"], default="tcg")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    options = parser.parse_args()
    tests = options.tests or TESTS
    share = Path(tempfile.mkdtemp(prefix="cambrian-vm-"))
    begin = time.monotonic()
    try:
        (share / "initramfs").write_bytes(first_file_system(options.machine))
        (share / "inside").write_bytes((HERE / "inside").read_bytes())
        (share / "build").write_text(str(SOURCE / "build" / "release"))
        (share / "tests").write_text("".join(f"{name}\n" for name in tests))
        try:
            run_machine(options.machine, share, options.accel)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            print(f"the machine did not end well: {error}")
        is_fine = report(share, tests)
        print(f"{time.monotonic() - begin:.0f} s")
    finally:
        shutil.rmtree(share, ignore_errors=True)
    sys.exit(0 if is_fine else 1)


if __name__ == "__main__":
    main()
