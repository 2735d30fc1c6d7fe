"""fetch.py LOCK_FILE FOLDER: unpacks the packages of an npm lock file that fit this machine into
FOLDER/node_modules. Each is checked by the digest in the lock file; no script of theirs is run."""

import base64
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import sys
import tarfile
import urllib.request

REGISTRY = "https://registry.npmjs.org"
CPUS = {"x86_64": "x64", "aarch64": "arm64"}
SECONDS_MAX = 120
TRIES = 3


def registry():
    """As npm finds it: environment, then the user's file, then the default."""
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/")
    settings = pathlib.Path.home() / ".npmrc"
    lines = settings.read_text().splitlines() if settings.is_file() else []
    found = [match[1] for line in lines if (match := re.match(r"\s*registry\s*=\s*(\S+)", line))]
    return (found[-1] if found else REGISTRY).rstrip("/")


def fits(package):
    cpu = CPUS.get(platform.machine(), platform.machine())
    return "linux" in package.get("os", ["linux"]) and cpu in package.get("cpu", [cpu])


def fetch(url, integrity):
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(url, timeout=SECONDS_MAX) as answer:
                content = answer.read()
            break
        except OSError as error:
            print(f"{url}: {error}", file=sys.stderr)
            if attempt + 1 == TRIES:
                raise
    algorithm, expected = integrity.split("-", 1)
    digest = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if digest != expected:
        sys.exit(f"{url} is another file than the lock file names: {algorithm}-{digest}")
    return content


def main(lock_file, folder):
    packages = json.loads(pathlib.Path(lock_file).read_text())["packages"]
    for place, package in packages.items():
        if not place or not fits(package):
            continue
        name = place.rpartition("node_modules/")[2]
        url = f"{registry()}/{name}/-/{name.rpartition('/')[2]}-{package['version']}.tgz"
        with tarfile.open(fileobj=io.BytesIO(fetch(url, package["integrity"]))) as archive:
            for member in archive.getmembers():
                # The first folder's name is the packer's choice.
                member.name = member.name.partition("/")[2]
                if member.name:
                    archive.extract(member, pathlib.Path(folder) / place, filter="data")
        for command, program in package.get("bin", {}).items():
            link = pathlib.Path(folder) / "node_modules/.bin" / command
            link.parent.mkdir(parents=True, exist_ok=True)
            target = pathlib.Path(folder) / place / program
            target.chmod(0o755)
            link.symlink_to(os.path.relpath(target, link.parent))


if __name__ == "__main__":
    main(*sys.argv[1:])
