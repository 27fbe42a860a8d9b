"""A pull, push or removal under way: what the engine told of it so far, drawn as bars."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.types.imagework import BlobWork, ImageEvent

from ..render.bars import slim
from ..render.numbers import plural, size
from ..render.spans import EMPTY, Block, Line, crop
from ..render.text import inert

_STATES = {"waiting": "faint", "active": "busy", "done": "ok", "present": "dim"}


@dataclass
class ImageWork:
    """`verb` is pull, push, remove or prune."""

    verb: str
    reference: str
    blobs: dict[str, BlobWork] = field(default_factory=dict)
    note: str = ""
    digest: str = ""
    end: ImageEvent | None = None
    """The last event, when it is over."""

    def take(self, event: ImageEvent) -> None:
        """What the engine told."""
        if event.event == "resolved":
            self.digest = event.digest
            self.blobs = {blob.digest: blob for blob in event.blobs}
        elif event.event == "blob" and event.blob is not None:
            self.blobs[event.blob.digest] = event.blob
            self.note = ""
        elif event.event == "retrying":
            self.note = f"{event.message}; again in {event.seconds:.0f} s"
        elif event.event in ("done", "failed"):
            self.end = event

    def fail(self, message: str) -> None:
        """It ended without the engine's word."""
        self.end = ImageEvent(event="failed", reference=self.reference, message=message)

    @property
    def failed(self) -> bool:
        return self.end is not None and self.end.event == "failed"

    def sentence(self) -> str:
        """How it is, or how it ended."""
        end = self.end
        if end is None:
            total = sum(blob.size for blob in self.blobs.values())
            done = sum(blob.done for blob in self.blobs.values())
            return f"{size(done)} of {size(total)}" if total else "asking the registry …"
        if end.event == "failed":
            return end.message or "ended without a word"
        if self.verb in ("remove", "prune"):
            what = f"{plural(end.removed_blobs, 'blob')} and {plural(end.removed_layers, 'layer')}"
            return f"{what} removed, {size(end.freed)} freed"
        if not end.transferred:
            return "is up to date"
        return f"{size(end.transferred)} in {end.seconds:.1f} s"

    def lines(self, width: int) -> Block:
        """As a text: one bar a blob."""
        role = "bad" if self.failed else "ok" if self.end is not None else "busy"
        lines: Block = [
            ((f"{self.verb} ", "dim"), (inert(self.reference), "bright bold")),
            ((inert(self.sentence()), role),),
        ]
        if self.note:
            lines.append(((inert(self.note), "warn"),))
        lines.append(EMPTY)
        lines += [_bar(blob, width) for blob in self.blobs.values()]
        return lines


def _bar(blob: BlobWork, width: int) -> Line:
    share = blob.done / blob.size if blob.size else 1.0
    role = _STATES.get(blob.state, "dim")
    tail = "already there" if blob.state == "present" else blob.state
    if blob.state == "active":
        tail = f"{size(blob.rate)}/s"
        if blob.remaining is not None:
            tail += f"  {blob.remaining:.0f} s left"
    if blob.resumed:
        tail += f"  gone on from {size(blob.resumed)}"
    return (
        (f"{crop(inert(blob.kind), 8):9}", "dim"),
        (f"{inert(blob.digest).removeprefix('sha256:')[:12]}  ", "faint"),
        *slim(share, max(8, min(40, width - 92)), "net", role=role),
        (f" {size(blob.done):>8} of {size(blob.size):>8}  ", "text"),
        (tail, role),
    )
