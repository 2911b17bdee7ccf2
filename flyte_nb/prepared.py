"""Prepared: a plan that can be carried out as it is shown, beside the kernel's cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from flyte_nb.deploying import custom_deployers, with_contents
from flyte_nb.engine.base import Custom, Deployments, Engine, Progress
from flyte_nb.made_of import made_of
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.preview import Plan
from flyte_nb.plan.weight import LIMIT, insist_light, weight
from flyte_nb.planning import plan_with_bundle
from flyte_nb.session import Session

__all__ = ["Prepared", "prepare"]


class Prepared:
    """A plan together with the bundle that it is of: what is deployed is what it shows.

    Parameters
    ----------
    session : Session
        Whose store it is for.
    plan : Plan
        What would happen.
    bundle : Bundle
        What makes it happen.
    """

    def __init__(self, session: Session, plan: Plan, bundle: Bundle) -> None:
        self._session, self._bundle = session, bundle
        #: what would happen
        self.plan = plan
        #: the bundle has more bytes than are deployed without asking
        self.is_heavy = weight(bundle) > LIMIT
        self._made_of = made_of(session, bundle)

    @property
    def may_have_changed(self) -> bool:
        """Whether a cell, or something else, may have changed what it is of; then it is worth preparing it again."""
        is_whole = set(self._session.registry) == set(self._made_of)
        return (not self.plan.asked and not is_whole) or any(one.may_have_changed() for one in self._made_of.values())

    def begin(
        self, tell: Callable[[Progress], None], ended: Callable[[Future[Deployments]], None], allow_large: bool = False
    ) -> Callable[[], None]:
        """Deploy it beside the kernel's cells; give what cancels that.

        Parameters
        ----------
        tell : callable
            Hears how it goes, in other threads.
        ended : callable
            Hears of its end, in another thread.
        allow_large : bool
            As of ``flyte.deploy``.

        Raises
        ------
        DeploymentError
            When the bundle is too large.
        """
        if not allow_large:
            insist_light(self._bundle)
        engine, custom = self._session.engine("local"), custom_deployers(self._session, self._bundle)
        job = self._session.portal.submit(self._deployed(engine, custom, tell))
        job.done.add_done_callback(ended)
        return job.cancel

    async def _deployed(self, engine: Engine, custom: Custom, tell: Callable[[Progress], None]) -> Deployments:
        try:
            return with_contents(await engine.deploy(self._bundle, tell, custom), self._bundle)
        finally:
            self._session.tell_deployment()


def prepare(session: Session, names: Iterable[str], version: str | None) -> Prepared:
    """Plan what is declared now, to be deployed as it is planned.

    Parameters
    ----------
    names : iterable of str
        The environments; none for everything that is declared.

    Raises
    ------
    UnknownNameError
        For an environment that is not declared any more.
    DeploymentError, SliceError
        As ``flyte.plan``.
    """
    return Prepared(session, *plan_with_bundle(session, [session.registry.find(n) for n in names], version))
