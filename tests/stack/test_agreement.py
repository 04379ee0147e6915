"""docker-compose.yml and the stack describe one installation: the same services, commands and settings."""

from typing import Any

import pytest

from stack.places import CONTAINERS
from stack.services import POSTGRES_SETTINGS, Service, services
from tests.stack import compose

OURS = services(CONTAINERS)
THEIRS = compose.services()


def differences(theirs: dict[str, dict[str, Any]], ours: dict[str, Service]) -> list[str]:
    found = [f"only one has {name}" for name in theirs.keys() ^ ours.keys()]
    for name in theirs.keys() & ours.keys():
        there, here = theirs[name], ours[name]
        environment = {key: str(value) for key, value in there.get("environment", {}).items()}
        if name == "postgres":  # what the image makes of its first start, the stack does itself
            environment = {
                key: value for key, value in environment.items() if not key.startswith("POSTGRES_")
            }
        check = there.get("healthcheck", {}).get("test", ["CMD"])[1:]
        pairs = {
            "command": (tuple(there["command"]), here.command),
            "environment": (environment, dict(here.environment)),
            "order": (set(there.get("depends_on", {})), set(here.after)),
            "check": (tuple(check), here.check),
            "once": (there["restart"] == "no", here.once),
        }
        found += [f"{name}: {what}: {a} is not {b}" for what, (a, b) in pairs.items() if a != b]
    return found


def test_they_agree() -> None:
    assert differences(THEIRS, OURS) == []


def test_the_comparison_sees_each_drift() -> None:
    for name in OURS:
        for key, other in (
            ("command", ["true"]),
            ("environment", {"TUNEBOOK_PORT": "1"}),
            ("restart", "odd"),
        ):
            changed = {**THEIRS, name: {**THEIRS[name], key: other}}
            caught = differences(changed, OURS)
            assert caught or (key == "restart" and not OURS[name].once), (name, key)
        assert differences({n: s for n, s in THEIRS.items() if n != name}, OURS)


def test_order_means_ready_or_done() -> None:
    for name, service in THEIRS.items():
        for other, how in service.get("depends_on", {}).items():
            done = "service_completed_successfully" if OURS[other].once else "service_healthy"
            assert how == {"condition": done}, (name, other)


def test_every_secret_is_a_file_that_the_service_is_given() -> None:
    for name, service in THEIRS.items():
        files = {
            str(value).removeprefix("/run/secrets/")
            for value in service.get("environment", {}).values()
            if str(value).startswith("/run/secrets/")
        }
        assert files == set(service.get("secrets", [])), name
    assert all(secret["file"].startswith("./secrets/") for secret in compose.read()["secrets"].values())


def test_no_service_holds_a_password() -> None:
    for name, service in THEIRS.items():
        for key, value in service.get("environment", {}).items():
            assert not any(word in key for word in ("PASSWORD", "TOKEN", "SECRET")) or key.endswith(
                "_FILE"
            ), name
            assert not str(value).startswith(tuple(f"{scheme}://:" for scheme in ("redis", "postgresql")))


def test_postgres_and_redis_are_not_published_and_workers_never_see_the_database() -> None:
    networks = compose.read()["networks"]
    assert [name for name, service in THEIRS.items() if service.get("ports")] == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in THEIRS["proxy"]["ports"])
    for name in ("postgres", "redis"):
        assert all(networks[network]["internal"] for network in THEIRS[name]["networks"])
    assert not set(THEIRS["worker-1"]["networks"]) & set(THEIRS["postgres"]["networks"])
    assert not set(THEIRS["proxy"]["networks"]) & set(THEIRS["postgres"]["networks"])


def test_servers_and_proxy_meet_in_one_network_where_its_address_is_the_one_they_believe() -> None:
    for name in ("server-1", "server-2"):
        assert set(THEIRS[name]["networks"]) & set(THEIRS["proxy"]["networks"]) == {"web"}
    assert THEIRS["proxy"]["networks"]["web"]["ipv4_address"] == CONTAINERS.proxy_peer
    over = compose.read("deploy/compose.tls.yml")["services"]["proxy"]["networks"]
    assert not set(over) & set(THEIRS["server-1"]["networks"])


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_each_service_is_restarted_watched_and_cannot_gain_rights(name: str) -> None:
    service = THEIRS[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] in ("unless-stopped", "no")
    assert "healthcheck" in service
    assert service.get("deploy", {}).get("resources") or name == "migrate"


def test_settings_of_postgres_are_those_of_the_stack() -> None:
    command = THEIRS["postgres"]["command"]
    assert dict(word.split("=") for word in command[2::2]) == POSTGRES_SETTINGS
