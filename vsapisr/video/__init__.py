"""Whole episodes in, whole episodes out: a video file through ``core.apisr.Upscale``, all else of it kept.

The work on one file is a *plan* and its *chunks*, and what lies on disk is the only state::

    ep01_4x.mkv.work/            beside the result until that is finished
        plan.json                settings, versions, identity of the source, chunks: :class:`.plan.Plan`
        times.json               the time of every frame: :class:`.plan.Times`
        index.*.bsindex          BestSource's index, so that nobody makes it twice
        000012.mkv, 000012.json  chunk 12 and what is known of it; there when it is whole, under another name before

Three steps, each a plain function, each to be repeated at will:

- :func:`.plan.prepare` ``(source, target, settings, force)`` -> :class:`.plan.Work`: makes the plan, or takes up the
  one that is there if source, settings and versions are its own; another is refused, or replaced by ``force``.
- :func:`.chunk.run_chunk` ``(plan, index, place)`` -> :class:`.chunk.Done`: renders and encodes one chunk. ``plan`` is
  the path of ``plan.json``, ``place`` a :class:`.chunk.Place` (device, threads). It asks the node of the whole clip for
  its frames, so that pixels do not depend on the division. Any process on any machine that sees source and work folder
  can run it, in any order, twice as well: same bits, and the file appears in one step.
  :class:`.chunk.Worker` is the same for many chunks with the network loaded once; ``Worker.run_many`` leaves no gap
  between chunks, as the next one's frames are under way while the encoder finishes.
- :func:`.join.join` ``(work)`` -> joins the chunks without coding again, with all other streams, checks the result
  and gives it its name.

:func:`.run.upscale_video` does the three, the middle one in this process or by another ``render`` that it is given,
with a claim on the folder (:mod:`.claim`), the trial of encoder and container (:mod:`.trial`), the look at room on the
disk and the report on damage around them. ``work.missing()`` says which chunks are still to be done.
"""

from __future__ import annotations
