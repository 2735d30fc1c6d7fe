#!/usr/bin/env python3
"""docker-compose.yml and deploy/Dockerfile, without an engine: names that must fit each other, and
the rules of docs/security.md about ports, networks and rights."""

import os
import re
import shutil
import unittest

import yaml

from support import DEPLOY, REPOSITORY, run

TEXT = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OURS = {"coordinator", "codemodel", "codegen", "worker", "worker-gpu"}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
# What the Compose specification knows for a service and is used here: a typing error is not there.
KNOWN = {"image", "build", "command", "environment", "volumes", "networks", "ports", "depends_on",
         "healthcheck", "restart", "init", "logging", "read_only", "tmpfs", "cap_drop",
         "security_opt", "stop_grace_period", "shm_size", "profiles", "deploy"}


def compose_program():
    """Docker Compose, alone or as a plugin; None where it is not installed."""
    for program in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(program[0]) and run(*program, "version").returncode == 0:
            return program
    return None


class Compose(unittest.TestCase):
    def test_compose_reads_it(self):
        """Needs no engine. Passed with Docker Compose 2.26.1, which is no package of the root."""
        program = compose_program()
        if not program:
            self.skipTest("Docker Compose is not installed")
        passwords = {name: "x" for name in re.findall(r"\$\{(CAMBRIAN_\w+PASSWORD)", TEXT)}
        command = program + ["-f", REPOSITORY / "docker-compose.yml", "--profile", "gpu", "config"]
        result = run(*command, env=os.environ | passwords)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(run(*command, env=os.environ).returncode, 0, "passwords are needed")

    def test_services_are_complete(self):
        self.assertEqual(set(SERVICES), OURS | {"postgres", "prometheus", "grafana"})
        for name, service in SERVICES.items():
            with self.subTest(service=name):
                self.assertEqual(set(service) - KNOWN, set())
                self.assertIn("test", service["healthcheck"])
                self.assertEqual(service["restart"], "unless-stopped")
                self.assertIn("max-size", service["logging"]["options"])

    def test_names_exist(self):
        targets = set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE))
        for name, service in SERVICES.items():
            with self.subTest(service=name):
                if "build" in service:
                    self.assertEqual(service["build"]["dockerfile"], "deploy/Dockerfile")
                    self.assertIn(service["build"]["target"], targets)
                self.assertLessEqual(set(service.get("depends_on", [])), set(SERVICES))
                self.assertLessEqual(set(service["networks"]), set(COMPOSE["networks"]))
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("."):
                        self.assertTrue((REPOSITORY / source).exists(), source)
                    else:
                        self.assertIn(source, COMPOSE["volumes"])

    def test_gpus(self):
        """What --build makes must not take the place of the image that somebody named."""
        service = SERVICES["worker-gpu"]
        self.assertNotIn("build", service)
        self.assertEqual(service["image"], "${CAMBRIAN_GPU_IMAGE:-cambrian-worker}")
        self.assertEqual(SERVICES["worker"]["image"], "cambrian-worker")
        device, = service["deploy"]["resources"]["reservations"]["devices"]
        # Of these the container toolkit makes libcuda and nvidia-smi.
        self.assertLessEqual({"gpu", "compute", "utility"}, set(device["capabilities"]))

    def test_nothing_is_reached_from_other_machines(self):
        for name, service in SERVICES.items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port}")
        self.assertTrue(COMPOSE["networks"]["inside"]["internal"])
        for name in ("worker", "worker-gpu", "postgres", "codemodel"):
            self.assertEqual(SERVICES[name]["networks"], ["inside"], name)

    def test_our_programs_have_no_rights(self):
        for name in OURS:
            with self.subTest(service=name):
                self.assertEqual(SERVICES[name]["cap_drop"], ["ALL"])
                self.assertTrue(SERVICES[name]["read_only"])
                self.assertIn("no-new-privileges:true", SERVICES[name]["security_opt"])
        # Each stage that becomes an image ends as a user without rights.
        for name in ("service", "worker"):
            stage = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
            self.assertIn("\nUSER cambrian\n", stage.group(1))
        self.assertNotIn("privileged: true", TEXT)

    def test_secrets_are_not_written_down(self):
        for line in TEXT.splitlines():
            if "PASSWORD:" in line:
                self.assertIn("${", line)
                self.assertIn(":?", line)
        for path in (DEPLOY / "config").iterdir():
            self.assertNotRegex(path.read_text(encoding="utf-8"), r"(?i)password\s*[=:]\s*\w")

    def test_prometheus_scrapes_what_is_there(self):
        document = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        for job in document["scrape_configs"]:
            targets = [t for s in job.get("static_configs", []) for t in s["targets"]]
            targets += [f"{n}:{s['port']}" for s in job.get("dns_sd_configs", [])
                        for n in s["names"]]
            for target in targets:
                name, port = target.split(":")
                self.assertIn(name, SERVICES)
                program = job["job_name"].removeprefix("cambrian-")
                config = yaml.safe_load((DEPLOY / f"config/{program}.yaml").read_text())
                self.assertEqual(config["metrics_listen"], f"0.0.0.0:{port}")


class Dockerfile(unittest.TestCase):
    def test_programs_are_those_that_are_built(self):
        built = set()
        for path in REPOSITORY.rglob("CMakeLists.txt"):
            if "build" not in path.relative_to(REPOSITORY).parts:
                built |= set(re.findall(r"cambrian_program\((\S+)", path.read_text()))
        copied = re.search(r"&& cp (.*) /service/", DOCKERFILE).group(1).split()
        self.assertEqual(len(copied), 4)
        self.assertLessEqual(set(copied), built)
        for name in OURS - {"worker", "worker-gpu"}:
            self.assertIn(SERVICES[name]["command"][0], copied)
        self.assertIn('CMD ["cambrian-worker"', DOCKERFILE)


if __name__ == "__main__":
    unittest.main()
