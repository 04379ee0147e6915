"""The stack as a library: everything started in order, each service killed or restarted by name."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import redis

from stack import programs
from stack.database import Database
from stack.errors import StackFailed
from stack.folder import Folder
from stack.keeper import Keeper, Part
from stack.network import Network, Way
from stack.places import POSTGRES_PASSWORD, REDIS_PASSWORD, on_this_machine
from stack.process import Process
from stack.services import Service, services
from tunebook import passwords
from tunebook.api import Api
from tunebook_server.embedded.answers import answers
from tunebook_server.embedded.child import ended
from tunebook_server.embedded.hold import Hold
from tunebook_server.embedded.kernel import Lifeline
from tunebook_server.embedded.tokens import CLIENT_FILE, write_client_token
from tunebook_server.services import access
from tunebook_server.storage.engine import Engine, connect

DEPLOY = Path(__file__).parents[1] / "deploy"
READY_SECONDS = 180.0
END_SECONDS = 30.0
"""A worker drains before it ends."""
POLL_SECONDS = 0.05


class Stack:
    """`with Stack(folder).start() as stack:`. `environment`: settings for all parts, such as shorter leases.

    With `namespaces`, worker n runs on host-n, a network namespace of its own. Thread-safe but for starting
    and ending.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hosts: int = 2,
        namespaces: bool = False,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`port` of the proxy; 0: any free one. Raises StackFailed or NoNamespaces."""
        if missing := programs.missing():
            raise StackFailed("; ".join(f"{name} is not installed" for name in missing))
        self.folder = Folder(folder.resolve())
        self.hosts = [f"host-{number}" for number in range(1, hosts + 1)]
        self.network = Network(self.hosts) if namespaces else None
        self.settings = dict(environment or {})
        self._port, self._tell = port, say
        self._parts: dict[str, Part] = {}
        self.services: dict[str, Service] = {}
        self._hold = Hold(self.folder.path, command="make stack")
        self._open = False

    def __enter__(self) -> "Stack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> "Stack":
        """Returns when all is well; raises StackFailed, with what the service said, and ends what ran."""
        self.folder.prepare()
        self._hold.take()
        self._open = True
        self._keeper, self._lifeline = Keeper(), Lifeline()
        self._keeper.start()
        try:
            self._describe()
            for service in self.services.values():
                for name in service.after:
                    self.wait_for(name)
                self._start(service)
            for name in self.services:
                self.wait_for(name)
        except BaseException:
            self.end()
            raise
        self.folder.announce(self.url)
        self._hold.note(self.url)
        return self

    def end(self) -> None:
        """In the reverse order of the start: workers drain while there is a server to tell."""
        if not self._open:
            return
        self._open = False
        self.folder.conceal()
        for level in sorted({self._level(name) for name in self.services}, reverse=True):
            parts = [part for name, part in self._parts.items() if self._level(name) == level]
            self._keeper.end_parts(parts, END_SECONDS)
        self._keeper.close()
        self._lifeline.close()
        if self.network is not None:
            self.network.close()
        self._hold.release()

    @property
    def url(self) -> str:
        """Of the proxy."""
        return self.places.public_url

    def api(self) -> Api:
        """As the owner; close it."""
        return Api(self.url, (self.folder.path / CLIENT_FILE).read_text())

    def login_code(self) -> str:
        engine = self._engine()
        try:
            return access.issue_login_code(engine)
        finally:
            engine.dispose()

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """That one process, which is then started again; its number. SIGSTOP and SIGCONT go to it as well."""
        pid = self.pid(name)
        os.kill(pid, how)
        return pid

    def pid(self, name: str) -> int:
        """Waits until it runs."""
        return self._until(lambda: self._parts[name].pid, name)

    def restart(self, name: str) -> None:
        """In order: asked to end, started again, waited for."""
        self.stop(name)
        self.begin(name)

    def stop(self, name: str) -> None:
        """Until `begin`."""
        self._keeper.end_parts([self._parts[name]], END_SECONDS)

    def begin(self, name: str) -> None:
        self._keeper.start_part(self._parts[name])
        self.wait_for(name)

    def wait_for(self, name: str) -> None:
        """Until it is well; raises StackFailed."""
        part = self._parts[name]
        if isinstance(part, Process) and not part.service.once:
            self._until(lambda: part.pid and self._is_well(part), name)

    def wipe_redis(self) -> None:
        """Everything in it is gone."""
        host, _, port = self.places.redis.rpartition(":")
        password = passwords.read(Path(self.places.secret(REDIS_PASSWORD)))
        with redis.Redis(host=host, port=int(port), password=password) as client:
            client.flushall()

    def cut(self, host: str, way: Way = Way.LINK) -> None:
        self._hosts_network().cut(host, way)

    def join(self, host: str) -> None:
        self._hosts_network().join(host)

    def log(self, name: str) -> str:
        """What it has said so far; of `stack`, what happened to the others."""
        file = self.folder.log(name)
        return file.read_text(errors="replace") if file.exists() else ""

    def _describe(self) -> None:
        gateway = ""
        if self.network is not None:
            self.network.open()
            gateway = self.network.gateway
        self.places = on_this_machine(
            self.folder.path,
            DEPLOY,
            self.folder.ports(proxy=self._port),
            gateway=gateway,
            workers=len(self.hosts),
        )
        self.services = services(self.places)
        self._parts = {name: self._part(service) for name, service in self.services.items()}

    def _part(self, service: Service) -> Part:
        if service.name == "postgres":
            password = passwords.read(Path(self.places.secret(POSTGRES_PASSWORD)))
            folder = self.folder.path / "postgres"
            return Database(folder, self.places, password, lifeline=self._lifeline, say=self._say)
        host = service.name.replace("worker", "host")
        prefix = self.network.prefix(host) if self.network is not None and host in self.hosts else []
        return Process(
            service,
            settings=self.settings,
            log=self.folder.log(service.name),
            lifeline=self._lifeline,
            say=self._say,
            prefix=prefix,
        )

    def _start(self, service: Service) -> None:
        part = self._parts[service.name]
        if isinstance(part, Process) and service.once:
            done = part.run_once()
            if done.returncode != 0:
                raise StackFailed(f"{service.name}: {ended(done.returncode)}:\n{done.stdout[-2000:]}")
            self._write_tokens()
            return
        self._keeper.start_part(part)

    def _write_tokens(self) -> None:
        """The owner's, and one for each worker: what an operator makes by hand."""
        engine = self._engine()
        try:
            write_client_token(engine, self.folder.path, name="stack")
            for name in self.services:
                token = self.services[name].environment.get("TUNEBOOK_WORKER_TOKEN_FILE")
                if token:
                    self.folder.write_secret(Path(token), access.create_worker_token(engine, name=name))
        finally:
            engine.dispose()

    def _engine(self) -> Engine:
        settings = self.services["migrate"].environment
        url = passwords.into_url(
            settings["TUNEBOOK_DATABASE_URL"], Path(settings["TUNEBOOK_DATABASE_PASSWORD_FILE"])
        )
        return connect(url, pool_size=1)

    def _is_well(self, part: Process) -> bool:
        """By the check of the service; where that is a request, without a process for it."""
        port = part.environment.get("TUNEBOOK_PORT")
        if part.service.name == "proxy":
            return answers(self.url)
        return answers(f"http://127.0.0.1:{port}") if port else part.is_well()

    def _until(self, condition: Callable[[], int], name: str) -> int:
        end = time.monotonic() + READY_SECONDS
        while not (value := condition()):
            if time.monotonic() > end:
                raise StackFailed(f"{name} is not well after {READY_SECONDS:g} s:\n{self.log(name)[-2000:]}")
            time.sleep(POLL_SECONDS)
        return value

    def _level(self, name: str) -> int:
        return max((1 + self._level(other) for other in self.services[name].after), default=0)

    def _hosts_network(self) -> Network:
        if self.network is None:
            raise StackFailed("The hosts of this stack share one network: give it namespaces=True.")
        return self.network

    def _say(self, line: str) -> None:
        self.folder.note(line)
        self._tell(line)
