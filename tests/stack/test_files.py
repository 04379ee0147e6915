"""The files of the installation, read as their readers do: HAProxy, Docker, systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stack import programs
from stack.places import CONTAINERS, on_this_machine
from stack.services import services
from tests.stack import needs
from tests.stack.compose import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
PORTS = {"postgres": 5432, "redis": 6379, "server-1": 8001, "server-2": 8002, "proxy": 8000}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "2",
    ]
    subprocess.run([*argv, "-keyout", both, "-out", folder / "c.pem"], check=True, capture_output=True)
    both.write_text((folder / "c.pem").read_text() + both.read_text())
    return str(both)


@needs.haproxy
@pytest.mark.parametrize("where", ["containers", "here", "namespaces", "tls", "tls in containers"])
def test_haproxy_accepts_its_configuration(where: str, certificate: str, tmp_path: Path) -> None:
    deploy = ROOT / "deploy"
    gateway = "10.87.1.1" if where == "namespaces" else ""
    here = on_this_machine(tmp_path, deploy, PORTS, gateway=gateway)
    places = CONTAINERS if "containers" in where else here
    environment = dict(services(places)["proxy"].environment)
    if "tls" in where:
        environment |= {
            "PROXY_CERTIFICATE": certificate,
            "PROXY_TLS_BIND": ":8443",
            "PROXY_REDIRECT_BIND": ":8079",
            "PROXY_HINTS_BIND": ":6380",
            "PROXY_REDIS": places.redis,
        }
    done = checked(deploy / "proxy/haproxy.cfg", environment)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert all("could not resolve address" in line for line in warnings)  # of containers that are not here


@needs.haproxy
def test_haproxy_refuses_a_broken_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cfg"
    text = (ROOT / "deploy/proxy/haproxy.cfg").read_text()
    broken.write_text(text.replace("balance leastconn", "balance by-chance"))
    environment = services(on_this_machine(tmp_path, ROOT / "deploy", PORTS))["proxy"].environment
    assert checked(broken, dict(environment)).returncode != 0


def checked(file: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    argv = [programs.find("haproxy"), "-c", "-f", str(file)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def stages() -> dict[str, str]:
    found = re.split(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    return {name: base for base, name in zip(found[1::3], found[2::3], strict=True)}


def test_images_are_of_a_pinned_base_and_end_as_somebody_who_is_not_root() -> None:
    bases = stages()
    outside = {base for base in bases.values() if base not in bases}
    assert outside == {"python:${PYTHON}-slim-bookworm"}
    assert "ARG PYTHON=3.11\n" in DOCKERFILE
    assert (bases["server"], bases["worker"]) == ("image", "image")
    after = DOCKERFILE.split(" AS image\n")[1]
    assert re.findall(r"^USER (.*)$", after, re.MULTILINE) == ["10001:10001"]
    assert after.count("HEALTHCHECK") == 2


def test_no_secret_and_no_tool_of_development_reaches_an_image() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert {word for line in copied for word in line.split()[:-1]} == allowed
    assert not allowed & {"secrets", "tests", "deploy", ".git"}
    assert "[dev]" not in DOCKERFILE
    assert not re.search(r"password|token|secret", DOCKERFILE, re.IGNORECASE)
    last = DOCKERFILE.split(" AS image\n")[1]
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == [
        "--from=server_environment /opt/tunebook /opt/tunebook",
        "--from=worker_environment /opt/tunebook /opt/tunebook",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_hardened_and_hold_no_secret(unit: Path) -> None:
    text = unit.read_text()
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "User=tunebook", "UMask=0077"):
        assert line in text.splitlines(), line
    assert "LoadCredential=" in text
    assert not re.search(r"://[^/@\s]*:[^/@\s]+@", text)


def test_a_worker_drains_before_it_is_killed() -> None:
    text = (ROOT / "deploy/systemd/tunebook-worker.service").read_text()
    assert "KillMode=mixed" in text
    assert int(re.findall(r"TimeoutStopSec=(\d+)", text)[0]) > 20  # TUNEBOOK_GRACE_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:  # the program that they start is not installed here
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/tunebook/bin/tunebook", "/bin/true"))
    names = [str(tmp_path / unit.name.replace("@", "@1")) for unit in UNITS]
    argv = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names]
    for unit in UNITS:
        if "@" in unit.name:
            shutil.copy(tmp_path / unit.name, tmp_path / unit.name.replace("@", "@1"))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "tunebook" in line]
    assert ours == []
