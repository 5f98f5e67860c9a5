"""A long line between two network namespaces: frames come out at the other end, in order, some time later.

usage: line.py NAMESPACE_A NAMESPACE_B INTERFACE DELAY_MS

Opens a TAP interface of that name in each namespace and prints `ready`. What a link loses and how much it carries is
the kernel's part (nftables, tc tbf); delay is done here because kernels without modules have no netem.
"""

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME_BYTES_MAX = 65_600
# Frames under way in one direction: 10 s of a video call. Beyond that the line drops, like any queue.
FRAMES_MAX = 20_000


def open_tap(namespace: str, interface: str) -> int:
    """A TAP in a namespace; it lives as long as the descriptor, wherever this process is."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", encoding="ascii") as place:
        if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
    return tap


class Line:
    """Both directions; each keeps its frames in order because all are delayed alike."""

    def __init__(self, taps: tuple[int, int], delay_s: float) -> None:
        self.taps = taps
        self.delay_s = delay_s
        self.under_way: tuple[deque, deque] = (deque(maxlen=FRAMES_MAX), deque(maxlen=FRAMES_MAX))

    def run(self) -> None:
        poll = select.poll()
        for tap in self.taps:
            poll.register(tap, select.POLLIN)
        while True:
            poll.poll(self.wait_ms())
            now = time.monotonic()
            for tap, frames in zip(self.taps, self.under_way, strict=True):
                self.take(tap, frames, now + self.delay_s)
            for tap, frames in zip(reversed(self.taps), self.under_way, strict=True):
                self.give(tap, frames)

    def wait_ms(self) -> float | None:
        due = [frames[0][0] for frames in self.under_way if frames]
        return max(0.0, (min(due) - time.monotonic()) * 1000) if due else None

    @staticmethod
    def take(tap: int, frames: deque, due: float) -> None:
        try:
            while True:
                frames.append((due, os.read(tap, FRAME_BYTES_MAX)))
        except BlockingIOError:
            return

    @staticmethod
    def give(tap: int, frames: deque) -> None:
        while frames and frames[0][0] <= time.monotonic():
            _, frame = frames.popleft()
            try:
                os.write(tap, frame)
            except OSError:
                # The interface at the other end is down or full: the frame is lost, as on any line.
                pass


def main() -> None:
    namespace_a, namespace_b, interface, delay_ms = sys.argv[1:]
    taps = open_tap(namespace_a, interface), open_tap(namespace_b, interface)
    print("ready", flush=True)
    Line(taps, float(delay_ms) / 1000).run()


if __name__ == "__main__":
    main()
