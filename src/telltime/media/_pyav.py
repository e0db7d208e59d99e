"""Reading video files with PyAV: only the frames asked for, from the keyframe before them, each converted once."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from telltime.media._decoded import Converter, DecodedFrame, Upright
from telltime.media._diagnose import media_errors, picture_stream, refuse_text
from telltime.media._packets import Identity, PacketTable, TimeOrder
from telltime.media.errors import MediaError, Unreadable
from telltime.media.frames import Deadline, Limits, Probe

_NOT_VIDEO = {"concat", "concatf", "dash", "hls", "hls,applehttp", "tty"}
"""Formats that are lists of other files, or text drawn as pictures."""

_DAMAGE = (av.error.FFmpegError, IndexError)
"""What damaged files make PyAV raise; the second when streams turn up that the start of the file did not tell of."""

_TIMEOUTS = (av.error.ExitError, av.error.TimeoutError)
_NO_TIMES = av.format.Flags.no_timestamps.value


class _Misordered(Exception):
    """The frames did not come out at the times their packets told."""


class PyAVSource:
    """One video file, open for reading."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.fault: str | None = None
        self._path, self._limits = path, limits
        self._converter = Converter(path)
        self._probe: Probe | None = None
        self._order: TimeOrder | None = None
        self._container: Any = None
        self._packets: Any = None
        self._next = 0
        with media_errors(self._path, self._limits.seconds):
            refuse_text(self._path)
            self._open()

    @property
    def stream_index(self) -> int:
        """Which stream of the container is read."""
        return self._stream.index

    @property
    def timed(self) -> bool:
        """Whether frames are found by their times; known after ``probe``."""
        return self._order is not None

    @property
    def common(self) -> bool:
        """Whether pictures are of the common kind: 8 bits, 4:2:0, even sides."""
        context = self._stream.codec_context
        return context.pix_fmt in ("yuv420p", "yuvj420p") and not (context.width % 2 or context.height % 2)

    def _open(self) -> None:
        """Open the file, or open it again at its start."""
        self.close()
        container = av.open(
            str(self._path.absolute()),
            metadata_errors="ignore",
            timeout=self._limits.seconds,
            options={"protocol_whitelist": "file"},
        )
        try:
            if container.format.name in _NOT_VIDEO:
                raise Unreadable(self._path, f"a list or text ({container.format.name}), not a video")
            self._stream = picture_stream(self._path, container)
            context = self._stream.codec_context
            self._limits.check_size(self._path, context.width, context.height)
            context.thread_count = 1
        except MediaError:
            container.close()
            raise
        self._container = container
        self._packets = container.demux(self._stream)
        self._next = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._packets.close()
            self._container.close()
            self._container = None

    def probe(self, deadline: Deadline) -> Probe:
        """One pass over the packets; only the first frame is decoded, to see which way is up."""
        if self._probe is None:
            with media_errors(self._path, self._limits.seconds):
                self._probe = self._scan(deadline)
        return self._probe

    def _scan(self, deadline: Deadline) -> Probe:
        context = self._stream.codec_context
        width, height = context.width, context.height
        untold = self._container.format.name == "avi" or self._container.format.flags & _NO_TIMES
        table = PacketTable(context.name, bool(context.has_b_frames and untold))
        if table.needs_data and context.extradata:
            table.look(context.extradata)
        seen_upright = self._container.format.name == "avi"
        duration = 0
        try:
            for packet in self._packets:
                deadline.check()
                if not packet.size:
                    continue
                data = bytes(packet) if table.needs_data else b""
                table.add(_identity(packet), packet.dts, packet.is_keyframe, packet.is_discard, data)
                self._limits.check_frames(self._path, table.frames)
                duration = packet.duration or duration
                if not seen_upright:
                    seen_upright = self._see_upright(packet)
        except _DAMAGE as error:
            if not table.frames or isinstance(error, _TIMEOUTS):
                raise
        if not table.frames:
            raise Unreadable(self._path, "the video stream holds no frame")
        self._table, self._order = table, table.in_time_order()
        self._next = len(table.pts) + 1
        base = self._stream.time_base or Fraction(1, 25)
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        if self._order and len(self._order.pts) > 1:
            span = float((self._order.pts[-1] - self._order.pts[0]) * base)
            rate = rate or (table.frames - 1) / span
            seconds = span + (float(duration * base) or 1 / rate)
        else:
            rate = rate or 25.0
            seconds = table.frames / rate
        if self._converter.upright.swaps:
            width, height = height, width
        return Probe(table.frames, rate, width, height, self._converter.upright.degrees, context.name, seconds)

    def _see_upright(self, packet: Any) -> bool:
        """Take from the first frame that comes which way is up; the decoder is not made to wait for later frames."""
        context = self._stream.codec_context
        try:
            for frame in [*packet.decode(), *context.decode(None)]:
                self._converter.upright = Upright.of(frame)
                return True
        except av.error.FFmpegError:
            return True
        finally:
            context.flush_buffers()
        return False

    def read(self, wanted: list[int], deadline: Deadline) -> Iterator[DecodedFrame]:
        """The frames ``wanted`` that decode; see :class:`telltime.media.frames.Source`."""
        self.probe(deadline)
        self.fault = None
        with media_errors(self._path, self._limits.seconds):
            if self._order is not None:
                try:
                    yield from self._by_time(self._order, wanted[::-1], deadline)
                    return
                except _Misordered:
                    self._order = self.fault = None
            if wanted:
                yield from self._in_order(wanted[::-1], deadline)

    def _by_time(self, order: TimeOrder, left: list[int], deadline: Deadline) -> Iterator[DecodedFrame]:
        """Jump to the keyframe before each frame; ``left`` (descending) loses what is given or cannot be.

        Frames that nobody asked for and no other frame is built from are passed over.
        """
        base = self._stream.time_base or Fraction(1, 25)
        reorders = bool(self._stream.codec_context.has_b_frames)
        wanted = {order.pts[index] for index in left} if reorders else None
        while left:
            start = order.start(left[-1])
            whole_from = expected = order.first(start)
            self._go_to(start)
            try:
                for fed, frame in self._decode(deadline, wanted):
                    index = order.index.get(frame.pts, -1)
                    if 0 <= index < expected == whole_from:
                        continue
                    if not expected <= index <= (left[-1] if reorders else expected):
                        raise _Misordered
                    expected = index + 1
                    if index == left[-1]:
                        left.pop()
                        yield DecodedFrame(
                            self._converter,
                            frame,
                            index,
                            float((order.pts[index] - order.pts[0]) * base),
                        )
                        if not left or order.start(left[-1]) > fed + 1:
                            break
                else:
                    left.clear()
            except _DAMAGE as error:
                self._note_damage(error, expected)
                broken = max(start, self._next - 1)
                while left and order.start(left[-1]) <= broken:
                    left.pop()

    def _in_order(self, left: list[int], deadline: Deadline) -> Iterator[DecodedFrame]:
        """Count the frames from the first on, where the file's times are of no use."""
        assert self._probe is not None
        self._go_to(0)
        count = 0
        try:
            for _, frame in self._decode(deadline):
                if count == left[-1]:
                    left.pop()
                    yield DecodedFrame(self._converter, frame, count, count / self._probe.rate)
                    if not left:
                        return
                count += 1
        except _DAMAGE as error:
            self._note_damage(error, count)

    def _note_damage(self, error: Exception, reached: int) -> None:
        if isinstance(error, _TIMEOUTS):
            raise error
        self.fault = f"damaged, decoding stops at frame {reached} of {self._table.frames}"

    def _decode(self, deadline: Deadline, wanted: set[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Every frame from the current packet on, with the position of the packet fed last.

        With presentation times ``wanted``, other frames are decoded only where some frame may be built from them.
        """
        context = self._stream.codec_context
        for packet in self._packets:
            deadline.check()
            position = self._next
            ending = position >= len(self._table.pts)
            if not packet.size and not ending:
                continue
            self._next += 1
            context.skip_frame = "DEFAULT" if wanted is None or packet.pts in wanted else "NONREF"
            for frame in packet.decode():
                yield position, frame

    def _go_to(self, position: int) -> None:
        """Make packet ``position`` the next one, with a decoder that has seen nothing."""
        landed = self._jump(position)
        if landed is None:
            self._open()
        elif self._next < position:
            self._next += 1
        else:
            self._packets = _chain(landed, self._packets)
        while self._next < position:
            packet = next(self._packets, None)
            if packet is None:
                break
            self._next += bool(packet.size)

    def _jump(self, position: int) -> Any:
        """Seek to packet ``position`` or before it and return the packet met; ``None`` if the seek leads nowhere."""
        time = self._table.dts[position]
        time = self._table.pts[position] if time is None else time
        if time is None:
            return None
        try:
            self._packets.close()
            self._container.seek(time, stream=self._stream)
            self._packets = self._container.demux(self._stream)
            landed = next(packet for packet in self._packets if packet.size)
        except (*_DAMAGE, StopIteration):
            return None
        found = self._table.where.get(_identity(landed))
        if found is None or found > position:
            return None
        self._next = found
        return landed


def _chain(first: Any, rest: Any) -> Any:
    yield first
    yield from rest


def _identity(packet: Any) -> Identity:
    return packet.pts, packet.size
