"""The tasks of one call on their way to hands and back."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import ClusterError, VsapisrError
from .connect import brief
from .hand import AT_ONCE

if TYPE_CHECKING:
    from .crew import Crew, Member

__all__ = ["Handing"]

DEATHS = 4  # of processes with the same task in work, each after Ray's own retries: then it is the task's fault
PLACES = 2  # nodes on which a task may fail with an error before that counts
GLANCE = 5.0  # seconds between two looks at the nodes
ALONE = 120.0  # seconds to wait for a hand when there is none


class Handing:
    """Gives tasks out in order; one comes back done, failed, or not at all, which is when another hand gets it."""

    def __init__(self, crew: Crew, kind: Hashable, asked: Any, tasks: Iterable[Any], heard: Callable[[Any], None]):
        self.crew, self.ray = crew, crew.ray
        self.kind, self.asked, self.heard = kind, asked, heard
        self.waiting = deque(tasks)
        self.under_way: dict[Any, tuple[Member, Any]] = {}
        self.failed: defaultdict[Any, set[str]] = defaultdict(set)
        """Nodes on which a task failed."""
        self.deaths: Counter[Any] = Counter()
        self.error: VsapisrError | None = None
        self.since = time.monotonic()

    def run(self) -> Iterator[tuple[Any, Any]]:
        """See :meth:`.crew.Crew.run`."""
        try:
            while self.under_way or (self.waiting and not self.error):
                if time.monotonic() - self.crew.looked > GLANCE:
                    self.crew.muster()
                self.take_back()
                if not self.error:
                    self.give()
                for ref in self.come():
                    member, task = self.under_way.pop(ref)
                    member.load -= 1
                    try:
                        result = self.ray.get(ref)
                    except self.ray.exceptions.RayTaskError as error:
                        self.fell(member, task, error)
                    except self.ray.exceptions.RayError as error:
                        self.vanished(member, task, error)
                    else:
                        yield task, result
        finally:
            for member, _ in self.under_way.values():
                member.load -= 1
        if self.error:
            raise self.error

    def give(self) -> None:
        """Every hand has something to do, and something after that."""
        for load in range(AT_ONCE):
            for member in list(self.crew.members):
                if not self.waiting:
                    return
                if member.load == load and self.crew.fit(member, self.kind, self.asked):
                    task = self.next_for(member)
                    if task is not None:
                        ref = member.actor.run.options(concurrency_group="work").remote(task)
                        self.under_way[ref] = member, task
                        member.load += 1

    def next_for(self, member: Member) -> Any:
        """The first that has not failed on its node; None if there is none."""
        for place, task in enumerate(self.waiting):
            if member.node.id not in self.failed.get(task, ()):
                del self.waiting[place]
                return task
        return None

    def come(self) -> list[Any]:
        """References of tasks that have come to an end; news are heard on the way.

        Raises:
            ClusterError: nobody has been there for long.
        """
        news = {}
        for member in self.crew.members:
            if member.ready is None and member.load:
                news_of = member.actor.news.options(concurrency_group="news", max_task_retries=0)
                member.news = member.news or news_of.remote()
                news[member.news] = member
        refs = [*self.under_way, *news]
        if not refs:
            self.alone()
            return []
        self.since = time.monotonic()
        found, _ = self.ray.wait(refs, num_returns=1, timeout=1.0)
        for ref in found:
            if ref in news:
                self.listen(news[ref])
        return [ref for ref in found if ref in self.under_way]

    def listen(self, member: Member) -> None:
        """To what it has to say."""
        ref, member.news = member.news, None
        try:
            words = self.ray.get(ref)
        except self.ray.exceptions.RayActorError:
            member.ready = member.ready or member.actor.ready.remote()
            return
        for word in words:
            self.heard(word)

    def alone(self) -> None:
        """Wait for a hand.

        Raises:
            ClusterError: it takes too long.
        """
        if self.crew.members and all((member.node.id, self.kind) in self.crew.unfit for member in self.crew.members):
            raise ClusterError("no node of the cluster that can do this is left; the same command goes on where it was")
        if time.monotonic() - self.since > ALONE:
            raise ClusterError("no node of the cluster is left; the same command goes on where it was")
        if waiting := [member.ready for member in self.crew.members if member.ready is not None]:
            self.ray.wait(waiting, num_returns=1, timeout=1.0)
        else:
            time.sleep(1.0)
        self.crew.muster()

    def take_back(self) -> None:
        """What hands that are gone had in work."""
        for ref, (member, task) in list(self.under_way.items()):
            if member.gone:
                del self.under_way[ref]
                member.load -= 1
                self.waiting.appendleft(task)

    def fell(self, member: Member, task: Any, error: Any) -> None:
        """It ended with an error: another node may try once; then no more is given out.

        Raises:
            RayTaskError: it is an error of the program.
        """
        if not isinstance(error.cause, VsapisrError):
            raise error
        self.failed[task].add(member.node.id)
        others = {other.node.id for other in self.crew.members if other.ready is None} - self.failed[task]
        if others and len(self.failed[task]) < PLACES:
            self.crew.say(f"node {member.node}: {error.cause}; another one tries it")
            self.waiting.appendleft(task)
        else:
            self.error = self.error or type(error.cause)(f"node {member.node}: {error.cause}")

    def vanished(self, member: Member, task: Any, error: BaseException) -> None:
        """Its process is gone, or its node."""
        self.crew.muster()
        self.waiting.appendleft(task)
        if member.gone:
            return
        member.ready = member.ready or member.actor.ready.remote()
        self.deaths[task] += 1
        kind = type(error).__name__
        self.crew.say(f"a worker on node {member.node} is gone ({kind}); what it had in work goes to others")
        if self.deaths[task] >= DEATHS:
            words = f"workers end again and again with {task} in work, the last on node {member.node}"
            self.error = ClusterError(f"{words} ({brief(error)})")
