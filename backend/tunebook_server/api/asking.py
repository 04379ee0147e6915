"""Loops that ask at once: those of one study are recognised together, and answered in one transaction."""

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool

from tunebook_server.api.gathering import Gathering
from tunebook_server.api.schemas.trials import AskOut
from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import Fenced, TunebookError, Unauthenticated
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.services import access, asks
from tunebook_server.services.access import Credential
from tunebook_server.services.asks import Ask
from tunebook_server.services.suggesting import Wanted
from tunebook_server.storage.engine import Engine


class Asking:
    """Of one server; what waits is kept by study."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._credentials: Gathering[str, Credential, Principal | Unauthenticated | Fenced] = Gathering(
            self._recognise_all,
            apart=lambda one, other: False,
            faults=TunebookError,
            most=asks.TOGETHER_MOST,
        )
        self._asks: Gathering[int, Ask, bytes | Wanted] = Gathering(
            self._ask_at_once, apart=asks.apart, faults=TunebookError, most=asks.TOGETHER_MOST
        )

    async def recognise(self, study: str, credential: Credential) -> Principal:
        """`study`: as the address has it, which nobody has looked at. Raises as `access.authenticate`."""
        found = await self._credentials.ask(study, credential)
        if isinstance(found, Principal):
            return found
        raise found

    async def ask(self, study_id: int, asked: Ask) -> bytes:
        """An AskOut in JSON. Raises as `asks.ask`."""
        found = await self._asks.ask(study_id, asked)
        if isinstance(found, Wanted):
            return await run_in_threadpool(self._ask_with_a_model, study_id, asked)
        return found

    def _recognise_all(
        self, study: str, credentials: Sequence[Credential]
    ) -> list[Principal | Unauthenticated | Fenced]:
        return access.authenticate_all(self._engine, credentials)

    def _ask_at_once(self, study_id: int, asked: Sequence[Ask]) -> list[bytes | Wanted]:
        found = asks.ask_at_once(self._engine, study_id, asked)
        return [each if isinstance(each, Wanted) else _answer(each) for each in found]

    def _ask_with_a_model(self, study_id: int, asked: Ask) -> bytes:
        return _answer(asks.with_a_model(self._engine, study_id, asked))


def _answer(claims: Sequence[Claim]) -> bytes:
    return AskOut.model_validate({"trials": claims}).model_dump_json().encode()
