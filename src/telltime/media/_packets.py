"""What the packets of a stream say of its frames, before anything is decoded."""

from dataclasses import dataclass, field
from itertools import pairwise

Identity = tuple[int | None, int]
"""Presentation time and size of a packet: enough to know it again after a seek."""

_VOP = b"\x00\x00\x01\xb6"
_HEADER = 20
"""Bytes of a picture's header that are looked at."""


@dataclass
class PacketTable:
    """The packets of one stream, in the order they lie in the file.

    Attributes:
        codec: FFmpeg's name.
        reorders: frames may come in another order than packets, and the container may not say so.
        pts, dts: presentation and decoding times in the stream's time base, ``None`` where absent.
        keys: positions of packets that decoding can start from.
        shown: positions of packets whose frames an edit list does not cut away.
        frames: how many frames those packets hold.
        where: what a packet is known by, to its position; ``None`` where two are alike.
    """

    codec: str
    reorders: bool
    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    frames: int = 0
    where: dict[Identity, int | None] = field(default_factory=dict)
    _irregular: bool = False
    _vops: "_Vops | None" = None

    def look(self, header: bytes) -> None:
        """Read the codec's own header, where the container keeps one."""
        if self.codec == "mpeg4":
            self._vops = _Vops()
            self._vops.read_layer(header)

    def add(self, identity: Identity, dts: int | None, key: bool, discard: bool, data: bytes) -> None:
        """Note one packet; ``data`` is its content if :attr:`needs_data`."""
        position = len(self.pts)
        self.where[identity] = None if identity in self.where else position
        self.pts.append(identity[0])
        self.dts.append(dts)
        if key:
            self.keys.append(position)
        gives = self._gives(data)
        self._irregular |= not gives
        if not discard:
            self.shown.append(position)
            self.frames += gives

    @property
    def needs_data(self) -> bool:
        """Whether the codec hides from its packets' headers how many frames they hold."""
        return self.codec in ("mpeg4", "vp8")

    def _gives(self, data: bytes) -> bool:
        """Whether a frame comes of the packet."""
        if self.codec == "mpeg4":
            self._vops = self._vops or _Vops()
            gives = self._vops.gives(data)
            self._irregular |= self._vops.irregular
            return gives
        if self.codec == "vp8":
            return bool(data[0] >> 4 & 1)  # RFC 6386, 9.1: show_frame
        return True

    def in_time_order(self) -> "TimeOrder | None":
        """The frames by presentation time, or ``None`` if the times cannot be relied on.

        They cannot if any is missing or doubled, if some packet holds no frame or two, or if frames are reordered
        while the times are not (streams with B-frames in AVI).
        """
        times = [pts for pts in (self.pts[p] for p in self.shown) if pts is not None]
        if self._irregular or not times or len(times) < len(self.shown) or len(set(times)) < len(times):
            return None
        if any(self.pts[key] is None for key in self.keys) or not self.keys or self.keys[0] != 0:
            return None
        plain = all(a < b for a, b in pairwise(times))
        reorders = self._vops.bidirectional if self._vops else self.reorders
        if reorders and plain:
            return None
        return TimeOrder(self)


class TimeOrder:
    """The frames of a stream by presentation time, and where decoding has to start for each.

    Attributes:
        pts: presentation times, ascending.
        index: presentation time to frame index.
    """

    def __init__(self, table: PacketTable) -> None:
        order = sorted(table.shown, key=lambda p: table.pts[p] or 0)
        self.pts = [table.pts[p] or 0 for p in order]
        self.index = {pts: i for i, pts in enumerate(self.pts)}
        self._start = [0] * len(order)
        keys = sorted(table.keys, key=lambda p: table.pts[p] or 0)
        best, nearest = 0, 0
        for i, position in enumerate(order):
            while nearest < len(keys) and (table.pts[keys[nearest]] or 0) <= self.pts[i]:
                best = max(best, keys[nearest])
                nearest += 1
            self._start[i] = best if best <= position else 0
        self._first = dict.fromkeys(table.keys, 0)
        for i in reversed(range(len(order))):
            self._first[self._start[i]] = i

    def start(self, index: int) -> int:
        """Position of the packet to decode from to get frame ``index``: the nearest keyframe before it."""
        return self._start[index]

    def first(self, start: int) -> int:
        """The first frame that decoding from the packet ``start`` gives whole."""
        return self._first[start]


class _Vops:
    """Counts the pictures in packets of MPEG-4 part 2, where packed streams hold two, one or none.

    ISO/IEC 14496-2, 6.2.3 and 6.2.5. A picture that is "not coded" gives no frame of its own.

    Attributes:
        bidirectional: some picture is predicted from both sides, so frames are reordered.
        irregular: some packet does not hold exactly one coded picture.
    """

    def __init__(self) -> None:
        self.time_bits = 0
        self.bidirectional = self.irregular = False
        self._waiting = 0

    def gives(self, data: bytes) -> bool:
        """Whether a decoder fed this packet next gives a frame: its own, or one packed into the packet before."""
        if not self.time_bits:
            self.read_layer(data)
        coded, at = [], data.find(_VOP)
        while at >= 0:
            coded.append(self._coded(data[at + 4 : at + 4 + _HEADER]))
            at = data.find(_VOP, at + 4)
        self.irregular |= coded != [True]
        held = self._waiting + sum(coded)
        self._waiting = max(0, held - 1)
        return held > 0

    def _coded(self, header: bytes) -> bool:
        """Whether the picture with this header is coded at all: kind, seconds in ones, a marker, its time, a marker."""
        bits = int.from_bytes(header.ljust(_HEADER, b"\0"), "big")
        place = 8 * _HEADER - 2
        self.bidirectional |= bits >> place == 2
        if not self.time_bits:
            return True
        place -= 1
        while place and bits >> place & 1:
            place -= 1
        place -= self.time_bits + 3
        return place >= 0 and bool(bits >> place & 1)

    def read_layer(self, data: bytes) -> None:
        """Take from a video object layer header how many bits a picture's time has."""
        at = next((i for code in range(0x20, 0x30) if (i := data.find(bytes((0, 0, 1, code)))) >= 0), -1)
        if at < 0:
            return
        bits = _Bits(data[at + 4 : at + 44])
        bits.take(9)
        version = bits.take(7) >> 3 if bits.take(1) else 1
        if bits.take(4) == 15:
            bits.take(16)
        if bits.take(1):
            bits.take(3)
            if bits.take(1):
                bits.take(79)
        if bits.take(2) == 3 and version != 1:
            bits.take(4)
        bits.take(1)
        self.time_bits = max(1, (bits.take(16) - 1).bit_length())


class _Bits:
    """Bits of a byte string from the front; zeros once it is used up."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next ``count`` bits as a number."""
        self._left -= count
        if self._left < 0:
            return 0
        return self._value >> self._left & ((1 << count) - 1)
