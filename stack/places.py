"""Where the services find each other and their files: in containers, or on this machine."""

from dataclasses import dataclass
from pathlib import Path

POSTGRES_PASSWORD, REDIS_PASSWORD = "postgres_password", "redis_password"


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses are `host:port`."""

    postgres: str
    redis: str
    servers: tuple[str, str]
    server_bind: str
    """What the servers listen on; their port is that of their address."""
    proxy_bind: str
    """With commas between, where it is more than one."""
    proxy_peer: str
    """The address that the proxy's requests come from."""
    public_url: str
    redis_bind: str
    redis_folder: str
    secrets: str
    """The folder of the password files and worker tokens."""
    deploy: str
    """The folder that holds proxy/ and redis/."""
    data: str
    """The folder of each service's own files; `{name}` stands for the service."""
    proxy_host: str
    redis_host: str
    """By which workers reach these two."""
    workers: int = 2
    dns: str = ""

    def port(self, address: str) -> str:
        return address.rpartition(":")[2]

    def secret(self, name: str) -> str:
        return f"{self.secrets}/{name}"

    def own(self, name: str) -> str:
        return self.data.format(name=name)


CONTAINERS = Places(
    postgres="postgres:5432",
    redis="redis:6379",
    servers=("server-1:8787", "server-2:8787"),
    server_bind="0.0.0.0",  # noqa: S104 (inside the network that it shares with the proxy)
    proxy_bind=":8080",
    proxy_peer="172.31.87.2",
    public_url="http://127.0.0.1:8787",
    redis_bind="* -::*",
    redis_folder="/data",
    secrets="/run/secrets",
    deploy="/etc/tunebook",
    data="/var/lib/tunebook",
    proxy_host="proxy",
    redis_host="redis",
    workers=1,
    dns="127.0.0.11:53",
)
"""docker-compose.yml."""


def on_this_machine(
    folder: Path, deploy: Path, ports: dict[str, int], *, gateway: str = "", workers: int = 2
) -> Places:
    """All on loopback. `gateway`: an address beside it, by which workers in namespaces of their own come."""
    here = "127.0.0.1"
    binds = [here, gateway] if gateway else [here]
    return Places(
        postgres=f"{here}:{ports['postgres']}",
        redis=f"{here}:{ports['redis']}",
        servers=(f"{here}:{ports['server-1']}", f"{here}:{ports['server-2']}"),
        server_bind=here,
        proxy_bind=",".join(f"{host}:{ports['proxy']}" for host in binds),
        proxy_peer=here,
        public_url=f"http://{here}:{ports['proxy']}",
        redis_bind=" ".join(binds),
        redis_folder=str(folder / "redis"),
        secrets=str(folder / "secrets"),
        deploy=str(deploy),
        data=str(folder / "{name}"),
        proxy_host=gateway or here,
        redis_host=gateway or here,
        workers=workers,
    )
