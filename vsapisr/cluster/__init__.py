"""Work handed out to the nodes of a Ray cluster: chunks of videos, and the steps of training.

The state is what lies on the disk that all nodes see, never the cluster. A task may therefore be done twice, on any
node, with the same result, and whoever dies loses what was in work and no more. What is here only decides who does
what:

- :class:`.hand.Hand`: does tasks; a Ray actor, one for each GPU or group of cores, bound to its node.
- :class:`.crew.Crew`: all hands, in the process that was called. A hand's process is started again when it dies
  (``max_restarts``) and its tasks are tried again on it (``max_task_retries``); a node that dies takes its hands with
  it, one that joins later gets some.
- :class:`.handing.Handing`: the tasks of one call on their way; those of hands that are gone go to others.
"""

from __future__ import annotations

from .crew import Crew
from .hand import Hand

__all__ = ["Crew", "Hand"]
