"""Keeps one track per person through crossings, missed detections and short occlusions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskwatch.domain import Box, Detection
from maskwatch.tracking.assignment import assign
from maskwatch.tracking.track import Track

_CONFIRMING_HITS = 2  # matches that make a track more than a slip of the detector
_UNCONFIRMED_COAST = 0.6  # s that an unconfirmed track may stay unmatched
_MIN_MISSED_FRAMES = 2.5  # frames that every track may miss
_MIN_COAST = 0.6  # s that every track may stay unmatched, however short the visit's end is set
_MAX_COST = 20.0  # chi-square of three axes at 0.999, and the spread of a second's coast
_FAR_BETTER = 4.0  # twice the logarithm of a likelihood ratio of 7
_SAME_FACE = 0.6  # overlap (of the smaller box) from which two boxes are one face


class Tracker:
    """Follows faces without any identity feature; deterministic.

    Matching goes in three rounds, as in ByteTrack (Zhang et al. 2022): sure detections with the
    tracks seen lately, doubtful detections with what is left of these, then sure detections with
    the tracks lost for a while. Doubtful detections never begin a track.

    Args:
        score: detections from this score on are sure.
        reassociate: seconds after which a person who vanished has left.

    Attributes:
        tracks: every live track.
    """

    def __init__(self, score: float, reassociate: float) -> None:
        self._score = score
        self._coast = max(reassociate, _MIN_COAST)
        self._count = 0
        self._moment = -math.inf
        self._interval = 0.0
        self.tracks: list[Track] = []

    def update(self, detections: Sequence[Detection], moment: float) -> list[Track]:
        """Take in one frame's detections (pixels of the full picture); return the tracks that ended.

        Afterwards `track.detection` is None for each of `tracks` that this frame did not match. A
        `moment` in the past is taken as the latest one.
        """
        moment = self._advance(moment)
        for track in self.tracks:
            track.predict(moment)
        ended = self._drop_lost(moment)
        sure = [d for d in detections if d.score >= self._score]
        doubtful = [d for d in detections if d.score < self._score]
        recently = max(_MIN_COAST, _MIN_MISSED_FRAMES * self._interval)
        recent = [t for t in self.tracks if moment - t.last_moment <= recently]
        sure = self._match(recent, sure, moment, doubtful)
        self._match([t for t in recent if t.detection is None], doubtful, moment)
        sure = self._match([t for t in self.tracks if t.detection is None], sure, moment)
        self._begin(sure, moment)
        return ended

    def predict(self, moment: float) -> list[Track]:
        """Advance every track to `moment`, as `update` will; return the tracks."""
        for track in self.tracks:
            track.predict(max(moment, self._moment))
        return self.tracks

    def pause(self, moment: float) -> None:
        """Advance every track's clock to `moment` without motion: no frame was analysed until then.

        Otherwise seconds without a detection would let every face be anywhere, and two posters
        could exchange their tracks.
        """
        for track in self.tracks:
            track.pause(moment)

    def expire(self, moment: float) -> list[Track]:
        """Let time pass without a frame; return the tracks that ended."""
        self._moment = max(moment, self._moment)
        return self._drop_lost(self._moment)

    def drop(self, number: int) -> None:
        """End a track."""
        self.tracks = [track for track in self.tracks if track.number != number]

    def confirmed(self, track: Track) -> bool:
        """Return whether the track was matched often enough to be a face."""
        return track.hits >= _CONFIRMING_HITS

    def _advance(self, moment: float) -> float:
        """Update the mean interval of frames: at a low rate one missed frame is a long time."""
        passed = moment - self._moment
        if 0 < passed < self._coast:
            self._interval = passed if not self._interval else 0.8 * self._interval + 0.2 * passed
        self._moment = max(moment, self._moment)
        return self._moment

    def _drop_lost(self, moment: float) -> list[Track]:
        ended = [track for track in self.tracks if self._lost(track, moment)]
        self.tracks = [track for track in self.tracks if not self._lost(track, moment)]
        return ended

    def _lost(self, track: Track, moment: float) -> bool:
        allowed = self._coast if self.confirmed(track) else _UNCONFIRMED_COAST
        limit = min(max(allowed, _MIN_MISSED_FRAMES * self._interval), self._coast)
        return moment - track.last_moment > limit

    def _match(
        self,
        tracks: list[Track],
        detections: list[Detection],
        moment: float,
        doubtful: Sequence[Detection] = (),
    ) -> list[Detection]:
        """Match tracks and detections at the least total cost; return the detections left over.

        A track that one of `doubtful` fits far better, as a face that another one begins to hide, is
        left to it.
        """
        costs = [[_cost(track, one, doubtful) for one in detections] for track in tracks]
        matched = set()
        for row, column in assign(costs, _MAX_COST) if detections else []:
            tracks[row].match(detections[column], moment)
            matched.add(column)
        return [d for index, d in enumerate(detections) if index not in matched]

    def _begin(self, detections: list[Detection], moment: float) -> None:
        for detection in detections:
            if not any(_same_face(detection, track) for track in self.tracks):
                self._count += 1
                self.tracks.append(Track(self._count, detection, moment))


def _cost(track: Track, detection: Detection, doubtful: Sequence[Detection]) -> float:
    """Return the cost of a match; infinite if a doubtful detection of another face fits far better."""
    cost = track.cost(detection)
    others = (one for one in doubtful if _overlap(one.box, detection.box) <= _SAME_FACE)
    rivals = (track.cost(one) for one in others)
    return cost if cost - min(rivals, default=math.inf) <= _FAR_BETTER else math.inf


def _same_face(detection: Detection, track: Track) -> bool:
    return track.detection is not None and _overlap(detection.box, track.detection.box) > _SAME_FACE


def _overlap(box: Box, other: Box) -> float:
    """Return the intersection as a share of the smaller box."""
    smaller = min(box.area, other.area)
    return box.intersection(other) / smaller if smaller > 0 else 0.0
