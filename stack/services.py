"""The services of a team's installation, once: `docker-compose.yml` and the stack are both held to this."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stack.places import POSTGRES_PASSWORD, REDIS_PASSWORD, Places

USER = DATABASE = "tunebook"
POSTGRES_SETTINGS = {
    "max_connections": "200",  # two servers of 20, a control worker of 5, and room for people
    "password_encryption": "scram-sha-256",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "autovacuum_naptime": "10s",  # plans made while a table was empty go through all of it until then
}


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """The services that must be ready before it starts, or done, where they run once."""
    check: tuple[str, ...] = ()
    """Ends with 0 when it is well."""
    once: bool = False


def services(places: Places) -> dict[str, Service]:
    """All of them by name, each after those that it needs."""
    backend = _backend(places)
    found = [
        _postgres(),
        _redis(places),
        Service("migrate", ("tunebook", "server", "--migrate-only"), backend, after=("postgres",), once=True),
        *(_server(f"server-{n}", address, places) for n, address in enumerate(places.servers, start=1)),
        Service(
            "control",
            ("tunebook", "control"),
            {**backend, "TUNEBOOK_DATA": places.own("control")},
            after=("migrate", "redis"),
            check=("tunebook", "control", "--check"),
        ),
        _proxy(places),
        *(_worker(f"worker-{n}", places) for n in range(1, places.workers + 1)),
    ]
    return {service.name: service for service in found}


def _postgres() -> Service:
    settings = tuple(word for name, value in POSTGRES_SETTINGS.items() for word in ("-c", f"{name}={value}"))
    return Service(
        "postgres", ("postgres", *settings), check=("pg_isready", "-q", "-U", USER, "-d", DATABASE)
    )


def _redis(places: Places) -> Service:
    script = f"{places.deploy}/redis/redis.sh"
    environment = {
        "REDIS_CONFIG": f"{places.deploy}/redis/redis.conf",
        "REDIS_PASSWORD_FILE": places.secret(REDIS_PASSWORD),
        "REDIS_BIND": places.redis_bind,
        "REDIS_PORT": places.port(places.redis),
        "REDIS_FOLDER": places.redis_folder,
    }
    return Service("redis", ("sh", script), environment, check=("sh", script, "check"))


def _backend(places: Places) -> dict[str, str]:
    return {
        "TUNEBOOK_DATABASE_URL": f"postgresql://{USER}@{places.postgres}/{DATABASE}",
        "TUNEBOOK_DATABASE_PASSWORD_FILE": places.secret(POSTGRES_PASSWORD),
        "TUNEBOOK_BROKER_URL": f"redis://{places.redis}/0",
        "TUNEBOOK_BROKER_PASSWORD_FILE": places.secret(REDIS_PASSWORD),
    }


def _server(name: str, address: str, places: Places) -> Service:
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    hosts += [places.proxy_host] if places.proxy_host not in hosts else []
    environment = {
        **_backend(places),
        "TUNEBOOK_HOST": places.server_bind,
        "TUNEBOOK_PORT": places.port(address),
        "TUNEBOOK_PUBLIC_URL": places.public_url,
        "TUNEBOOK_ALLOWED_HOSTS": ",".join(hosts),
        "TUNEBOOK_TRUSTED_PROXIES": places.proxy_peer,
    }
    return Service(
        name,
        ("tunebook", "server", "--no-migrate"),
        environment,
        after=("migrate", "redis"),
        check=("tunebook", "server", "--check"),
    )


def _proxy(places: Places) -> Service:
    environment = {
        "PROXY_BIND": places.proxy_bind,
        "PROXY_SERVER_1": places.servers[0],
        "PROXY_SERVER_2": places.servers[1],
    }
    if places.dns:
        environment["PROXY_DNS"] = places.dns
    address = f"http://127.0.0.1:{places.port(places.proxy_bind)}/health"
    return Service(
        "proxy",
        ("haproxy", "-db", "-f", f"{places.deploy}/proxy/haproxy.cfg"),
        environment,
        after=("server-1", "server-2"),
        check=("wget", "-q", "-O", "/dev/null", address),
    )


def _worker(name: str, places: Places) -> Service:
    """It reaches the proxy and Redis, and nothing else: neither the servers nor the database."""
    environment = {
        "TUNEBOOK_URL": f"http://{places.proxy_host}:{places.port(places.proxy_bind)}",
        "TUNEBOOK_BROKER_URL": f"redis://{places.redis_host}:{places.port(places.redis)}/0",
        "TUNEBOOK_BROKER_PASSWORD_FILE": places.secret(REDIS_PASSWORD),
        "TUNEBOOK_WORKER_NAME": name,
        "TUNEBOOK_WORKER_TOKEN_FILE": places.secret(f"{name.replace('-', '_')}_token"),
        "TUNEBOOK_DATA": places.own("workers"),
    }
    return Service(
        name,
        ("tunebook", "worker"),
        environment,
        after=("proxy", "redis"),
        check=("tunebook", "worker", "--check"),
    )
