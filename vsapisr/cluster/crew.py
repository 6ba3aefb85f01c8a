"""All hands of one kind on a cluster: hired, looked after, asked whether they can."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..errors import ClusterError, VsapisrError
from .connect import Node, answers, brief, connect, nodes
from .hand import Hand
from .handing import Handing

__all__ = ["Crew", "Member"]

GROUP = 8  # cores of a hand at most where there is no GPU: more hands use them better than one with more threads
RETRIES = 3  # of a task by Ray, on a hand whose process died
HEADLESS = 20.0  # seconds that the head may be away
PATIENCE = 120.0  # seconds for the first hands to be ready; a node may be busy with other people's work

Told = Callable[[dict[str, Any]], None]


@dataclass(eq=False)
class Member:
    """A hand as the crew knows it."""

    node: Node
    actor: Any
    ready: Any
    """Reference that is there when it can work; None from then on."""
    news: Any = None
    """Reference to what it will say next."""
    load: int = 0
    """Tasks it has."""
    gone: bool = False
    """Dismissed; what it had in work is for others."""
    passed: set[Hashable] = field(default_factory=set)
    """Kinds of tasks that its node may do."""


class Crew:
    """Hands on all nodes, from ``with`` to its end."""

    def __init__(
        self,
        address: str,
        kind: type[Hand],
        arguments: tuple[Any, ...] = (),
        *,
        gpu: bool | None = False,
        cores: int = 0,
        told: Told = lambda event: None,
    ):
        """
        Args:
            address: As :func:`.connect.connect` takes it.
            kind: Made as ``kind(cores, *arguments)`` on the nodes.
            gpu: One hand for each GPU; None: if a node has one.
            cores: Of a hand without GPU; 0: up to 8, as the node has.
            told: Gets notes on who works and who is gone.

        Raises:
            ArgumentError, ClusterError: see :func:`.connect.connect`; or no node has what is needed.
        """
        self.ray = connect(address)
        self.kind, self.arguments, self.cores, self.told = kind, arguments, cores, told
        self.members: list[Member] = []
        self.nodes: dict[str, Node] = {}
        self.unfit: set[tuple[str, Hashable]] = set()
        self.begun = False
        self.looked = self.heard = time.monotonic()
        """When nodes were looked at, and when the head answered."""
        found = nodes(self.ray)
        self.gpu = any(node.gpus for node in found) if gpu is None else gpu
        if not any(self.places(node) for node in found):
            self.ray.shutdown()
            raise ClusterError(f"none of the {len(found)} nodes of the cluster has a {'GPU' if self.gpu else 'core'}")

    def __enter__(self) -> Crew:
        """
        Raises:
            VsapisrError: a node cannot load what the tasks need.
        """
        try:
            deadline = time.monotonic() + PATIENCE
            self.muster()
            while waiting := [member.ready for member in self.members if member.ready is not None]:
                if time.monotonic() > deadline:
                    break
                self.ray.wait(waiting, num_returns=1, timeout=1.0)
                self.muster()
        except BaseException:
            self.close()
            raise
        self.begun = True
        ready = sum(member.ready is None for member in self.members)
        self.say(f"{ready} workers on {len(self.nodes)} nodes: {', '.join(map(str, self.nodes.values()))}")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let all go."""
        for member in self.members:
            self.dismiss(member)
        self.members.clear()
        self.ray.shutdown()

    def say(self, text: str) -> None:
        self.told({"event": "note", "text": text})

    def places(self, node: Node) -> int:
        """Hands that a node has room for."""
        return node.gpus if self.gpu else node.cores // self.group(node)

    def group(self, node: Node) -> int:
        """Cores of each of its hands."""
        if self.gpu:
            return max(1, node.cores // max(1, node.gpus))
        return min(self.cores or GROUP, max(1, node.cores))

    def muster(self) -> None:
        """Look who is there: hands for new nodes, none on nodes that are gone, and who has got ready.

        Raises:
            ClusterError: the head has been away for too long.
        """
        self.looked = time.monotonic()
        head = self.ray.get_runtime_context().gcs_address
        if not answers(head):  # asking it would end this process after a minute
            if time.monotonic() - self.heard > HEADLESS:
                raise ClusterError(f"the head of the cluster ({head}) is gone: start it, then the same command goes on")
            return
        self.heard = time.monotonic()
        alive = {node.id: node for node in nodes(self.ray)}
        for member in [member for member in self.members if member.node.id not in alive]:
            self.members.remove(member)
            self.dismiss(member)
        for gone in self.nodes.keys() - alive.keys():
            self.say(f"node {self.nodes.pop(gone)} is gone; what it had in work goes to others")
        for node in alive.values():
            if node.id not in self.nodes and self.places(node):
                self.nodes[node.id] = node
                self.members += [self.hired(node) for _ in range(self.places(node))]
                if self.begun:
                    self.say(f"node {node} has joined")
        for member in list(self.members):
            self.welcome(member)

    def hired(self, node: Node) -> Member:
        """A new hand on a node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self.ray.remote(
            num_gpus=1 if self.gpu else 0,
            num_cpus=min(1, node.cores) if self.gpu else self.group(node),
            max_restarts=-1,
            max_task_retries=RETRIES,
            concurrency_groups={"work": self.kind.at_once, "news": 1},
        )(self.kind)
        bound = NodeAffinitySchedulingStrategy(node.id, soft=False)
        actor = remote.options(scheduling_strategy=bound).remote(self.group(node), *self.arguments)
        return Member(node, actor, actor.ready.remote())

    def welcome(self, member: Member) -> None:
        """Is it ready by now? A later node that cannot be is left out.

        Raises:
            VsapisrError: it cannot load what it needs, and the work has not begun.
        """
        if member.ready is None or not self.ray.wait([member.ready], timeout=0)[0]:
            return
        try:
            self.ray.get(member.ready)
            member.ready = None
        except self.ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, VsapisrError):
                raise
            if not self.begun:
                raise type(error.cause)(f"node {member.node}: {error.cause}") from None
            self.say(f"node {member.node} gets no work: {error.cause}")
            self.members.remove(member)
            self.dismiss(member)
        except self.ray.exceptions.ActorUnavailableError:  # its node may be dying: muster will see
            member.ready = member.actor.ready.remote()
        except self.ray.exceptions.RayError as error:
            if not self.begun:
                raise ClusterError(f"node {member.node}: no worker can be started there ({brief(error)})") from None
            self.dismiss(member)
            self.members[self.members.index(member)] = self.hired(member.node)

    def dismiss(self, member: Member) -> None:
        member.gone = True
        with suppress(Exception):
            self.ray.kill(member.actor)

    def check(self, kind: Hashable, asked: Any) -> None:
        """Ask all nodes that are there whether they can do tasks of a ``kind``.

        Raises:
            ClusterError: some cannot; the text names them.
        """
        answers: dict[str, tuple[Member, Any]] = {}
        for member in self.members:
            if member.ready is None and member.node.id not in answers:
                answers[member.node.id] = member, member.actor.check.options(max_task_retries=0).remote(asked)
        found = []
        for member, answer in answers.values():
            try:
                faults = self.ray.get(answer)
            except self.ray.exceptions.RayActorError:
                continue  # asked again before it gets work
            found += [f"node {member.node} {fault}" for fault in faults]
            for other in self.members:
                if other.node == member.node and not faults:
                    other.passed.add(kind)
        if found:
            raise ClusterError("; ".join(found))

    def fit(self, member: Member, kind: Hashable, asked: Any) -> bool:
        """May it have work of this kind? Those who came later are asked now."""
        if member.ready is not None or (member.node.id, kind) in self.unfit:
            return False
        if kind not in member.passed:
            try:
                faults = self.ray.get(member.actor.check.options(max_task_retries=0).remote(asked))
            except self.ray.exceptions.RayActorError:
                member.ready = member.actor.ready.remote()
                return False
            if faults:
                self.say(f"node {member.node} gets no work: it {'; '.join(faults)}")
                self.unfit.add((member.node.id, kind))
                return False
            member.passed.add(kind)
        return True

    def run(
        self, kind: Hashable, asked: Any, tasks: Iterable[Any], heard: Callable[[Any], None] = lambda word: None
    ) -> Iterator[tuple[Any, Any]]:
        """Have all ``tasks`` (hashable) done; gives (task, result) of each when it is done. ``asked`` is what a
        node's ``check`` gets before it works on this ``kind``. ``heard`` gets the hands' news.

        Raises:
            ClusterError: a node does not pass, none is left, or a task ends whoever does it.
            VsapisrError: a task failed; what was in work then has been finished.
        """
        self.check(kind, asked)
        yield from Handing(self, kind, asked, tasks, heard).run()
