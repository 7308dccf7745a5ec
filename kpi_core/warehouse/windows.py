"""The stretches of time that values are made for: whole spans, and parts of spans for like-for-like comparisons.

A window is some whole local days and perhaps the first hours of one more. The part of a day gets a day of its own
that does not exist (long before any record), so that parts of days add up exactly as whole days do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from kpi_core.store.schema import Instant
from kpi_core.warehouse.scratch import Scratch

__all__ = ["EPOCH", "Clip", "Windows", "as_dates"]

EPOCH = date(1970, 1, 1)
_FIRST_UNREAL = date(1800, 1, 1)
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clip:
    """The part of a day before an instant."""

    day: date
    until: datetime


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows by number (their place): the first day, how many whole days, and the part of the day after those."""

    starts: Ints
    lengths: Ints
    clips: tuple[Clip, ...] = ()
    clip_of: tuple[tuple[int, int], ...] = ()
    """(window, place in `clips`)."""

    @classmethod
    def of(cls, windows: Sequence[tuple[date, int, datetime | None]]) -> Windows:
        """From (first day, whole days, until when on the day after those)."""
        clips: dict[Clip, int] = {}
        clip_of: list[tuple[int, int]] = []
        for number, (start, days, until) in enumerate(windows):
            if until is not None:
                clip = Clip(start + timedelta(days=days), until)
                clip_of.append((number, clips.setdefault(clip, len(clips))))
        starts = np.array([(start - EPOCH).days for start, _, _ in windows], dtype=np.int64)
        lengths = np.array([days for _, days, _ in windows], dtype=np.int64)
        return cls(starts, lengths, tuple(clips), tuple(clip_of))

    def __add__(self, other: Windows) -> Windows:
        """Both; the other's are numbered after these, which are whole."""
        shift = len(self.starts)
        clip_of = tuple((window + shift, clip) for window, clip in other.clip_of)
        starts, lengths = np.concatenate([self.starts, other.starts]), np.concatenate([self.lengths, other.lengths])
        return Windows(starts, lengths, other.clips, clip_of)

    def stretches(self, only: Ints, most: int = 12) -> list[tuple[date, date]]:
        """The first and last days of the stretches that these windows make together; near ones are joined to few."""
        lasts = self.starts[only] + self.lengths[only]
        order = np.argsort(self.starts[only])
        found: list[list[int]] = []
        for first, last in zip(self.starts[only][order].tolist(), lasts[order].tolist(), strict=True):
            if found and first <= found[-1][1] + 1:
                found[-1][1] = max(found[-1][1], last)
            else:
                found.append([first, last])
        while len(found) > most:
            gaps = [after[0] - before[1] for before, after in pairwise(found)]
            nearest = gaps.index(min(gaps))
            found[nearest : nearest + 2] = [[found[nearest][0], found[nearest + 1][1]]]
        return [(EPOCH + timedelta(days=first), EPOCH + timedelta(days=last)) for first, last in found]

    def days(self, only: Ints | None = None) -> pa.Table:
        """A row for each day of each window: sid, day, slot (the day that its parts go under), until, pos."""
        chosen = np.arange(len(self.starts)) if only is None else only
        lengths = self.lengths[chosen]
        sid = np.repeat(chosen, lengths)
        pos = np.arange(len(sid)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        day = self.starts[sid] + pos
        included = set(chosen.tolist()) if self.clip_of else set()
        clipped = [(window, clip) for window, clip in self.clip_of if window in included]
        extra = [self.clips[clip] for _, clip in clipped]
        until = pa.array([*([None] * len(sid)), *(clip.until for clip in extra)], pa.timestamp("us", tz="UTC"))
        sid = np.concatenate([sid, np.array([window for window, _ in clipped], dtype=np.int64)])
        slots = np.concatenate([day, np.array([(unreal(clip) - EPOCH).days for _, clip in clipped], dtype=np.int64)])
        day = np.concatenate([day, np.array([(clip.day - EPOCH).days for clip in extra], dtype=np.int64)])
        pos = np.concatenate([pos, np.array([self.lengths[window] for window, _ in clipped], dtype=np.int64)])
        return pa.table(
            {"sid": pa.array(sid), "day": as_dates(day), "slot": as_dates(slots), "until": until, "pos": pa.array(pos)}
        )

    def put_days(self, scratch: Scratch, only: Ints | None = None) -> sa.Table:
        return scratch.put(
            "days",
            self.days(only),
            sa.Column("sid", sa.BigInteger),
            sa.Column("day", sa.Date),
            sa.Column("slot", sa.Date),
            sa.Column("until", Instant),
            sa.Column("pos", sa.BigInteger),
        )

    def put_starts(self, scratch: Scratch, only: Ints) -> sa.Table:
        rows = pa.table({"sid": pa.array(only), "start": as_dates(self.starts[only])})
        return scratch.put("starts", rows, sa.Column("sid", sa.BigInteger), sa.Column("start", sa.Date))

    def put_clips(self, scratch: Scratch) -> sa.Table:
        rows = pa.table(
            {
                "day": pa.array([clip.day for clip in self.clips], pa.date32()),
                "slot": pa.array([unreal(i) for i in range(len(self.clips))], pa.date32()),
                "until": pa.array([clip.until for clip in self.clips], pa.timestamp("us", tz="UTC")),
            }
        )
        columns = (sa.Column("day", sa.Date), sa.Column("slot", sa.Date), sa.Column("until", Instant))
        return scratch.put("clips", rows, *columns)


def unreal(clip: int) -> date:
    """The day that stands for a part of a day."""
    return _FIRST_UNREAL + timedelta(days=clip)


def as_dates(days: Ints) -> pa.Array:
    """Days since 1970 as dates."""
    return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32())
