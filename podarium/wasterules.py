"""Limits on waste that a pipeline sets, by dive's names and defaults (dive's CI rules).

rules:                                   in a file, as dive's .dive-ci
  lowest-efficiency: 0.9
  highest-wasted-bytes: 20MB
  highest-user-wasted-percent: 0.1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.types.explored import WasteReport
from podarium.failure import Failure
from podarium.output import bytes_text

DEFAULTS: Mapping[str, str] = {
    "lowest-efficiency": "0.9",
    "highest-wasted-bytes": "disabled",
    "highest-user-wasted-percent": "0.1",
}
_OFF = "disabled"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's; a rule that is switched off passes."""

    text: str
    passed: bool
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """None switches a rule off. Shares are from 0 to 1, sizes are bytes."""

    lowest_efficiency: float | None
    highest_wasted_bytes: int | None
    highest_user_wasted_percent: float | None

    @classmethod
    def of(cls, words: Mapping[str, str | None], file: Path | None = None) -> Rules:
        """What was said on the command line, else in the file, else dive's defaults.

        Raise Failure naming the rule that cannot be understood.
        """
        said = {**DEFAULTS, **_read(file)} | {k: v for k, v in words.items() if v is not None}
        return cls(
            _share("lowest-efficiency", said["lowest-efficiency"]),
            _size("highest-wasted-bytes", said["highest-wasted-bytes"]),
            _share("highest-user-wasted-percent", said["highest-user-wasted-percent"]),
        )

    def judge(self, report: WasteReport) -> list[Verdict]:
        """The rules' verdicts on an image."""
        least, most, share = (
            self.lowest_efficiency,
            self.highest_wasted_bytes,
            self.highest_user_wasted_percent,
        )
        found = report.efficiency, report.wasted, report.wasted_user_percent
        return [
            Verdict("lowest-efficiency: switched off", True, True)
            if least is None
            else Verdict(f"lowest-efficiency: {found[0]:.4f}, at least {least}", found[0] >= least),
            Verdict("highest-wasted-bytes: switched off", True, True)
            if most is None
            else Verdict(
                f"highest-wasted-bytes: {bytes_text(found[1])}, at most {bytes_text(most)}",
                found[1] <= most,
            ),
            Verdict("highest-user-wasted-percent: switched off", True, True)
            if share is None
            else Verdict(
                f"highest-user-wasted-percent: {found[2]:.4f}, at most {share}", found[2] <= share
            ),
        ]


def _read(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{file}: {error}", 2) from None
    rules = document.get("rules", {}) if isinstance(document, dict) else None
    if not isinstance(rules, dict):
        raise Failure(f"{file}: 'rules' must be a map", 2)
    # dive has written these names in both ways.
    known = {name.replace("-", "").lower(): name for name in DEFAULTS}
    said = {known.get(str(k).replace("-", "").lower(), str(k)): str(v) for k, v in rules.items()}
    for name in said:
        if name not in DEFAULTS:
            raise Failure(f"{file}: there is no rule {name!r}, only {', '.join(DEFAULTS)}", 2)
    return said


def _share(rule: str, text: str) -> float | None:
    if text == _OFF:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise Failure(f"{rule}: {text!r} is neither from 0 to 1 nor {_OFF!r}", 2)
    return share


def _size(rule: str, text: str) -> int | None:
    if text == _OFF:
        return None
    return size_of(text, rule)


def size_of(text: str, what: str) -> int:
    """Bytes of `20MB`, `1.5 GiB`, `4096`. Raise Failure naming `what`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Failure(f"{what}: {text!r} is no size; 20MB and 1.5GiB are", 2)
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmgt".index(match[2].lower() or " "))
