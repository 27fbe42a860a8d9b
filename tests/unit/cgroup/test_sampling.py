"""Counters in the kernel's formats, as v1 and v2 print them."""

import os
from pathlib import Path

import pytest

from engine.runtime.cgroup.sampling import Sampler, V1Sampler, V2Sampler, number

V2_FILES = {
    "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"
    "nr_periods 10\nnr_throttled 4\nthrottled_usec 77\nnr_bursts 0\nburst_usec 0\n",
    "memory.current": "10000000\n",
    "memory.max": "max\n",
    "memory.stat": "anon 4096\nfile 8192\nkernel 300\nkernel_stack 16\nfile_mapped 5\n"
    "inactive_anon 1\nactive_anon 2\ninactive_file 6000\nactive_file 7\n",
    "memory.events": "low 0\nhigh 0\nmax 8\noom 3\noom_kill 2\noom_group_kill 1\n",
    "pids.current": "5\n",
}
V1_FILES = {
    "cpuacct.usage": "1500000\n",
    "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 77000\n",
    "memory.usage_in_bytes": "10000000\n",
    "memory.limit_in_bytes": "67108864\n",
    "memory.stat": "cache 1\nrss 2\ninactive_file 3\nhierarchical_memory_limit 9\n"
    "total_cache 8192\ntotal_rss 4096\ntotal_rss_huge 0\ntotal_inactive_file 6000\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.kmem.usage_in_bytes": "300\n",
    "pids.current": "5\n",
}


def make(directory: Path, files: dict[str, str]) -> bytes:
    for name, text in files.items():
        (directory / name).write_text(text)
    return bytes(directory)


def samplers(tmp_path: Path) -> list[tuple[Sampler, int | None]]:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    one = make(tmp_path / "v1", V1_FILES)
    return [
        (V1Sampler(one, one, one, one), 64 << 20),
        (V2Sampler(make(tmp_path / "v2", V2_FILES)), None),
    ]


def test_both_tell_the_same(tmp_path: Path) -> None:
    for sampler, limit in samplers(tmp_path):
        with sampler:
            sample = sampler.sample()
        assert sample.cpu_ns == 1_500_000
        assert (sample.memory, sample.memory_limit) == (10_000_000, limit)
        assert (sample.anon, sample.file, sample.kernel) == (4096, 8192, 300)
        assert (sample.inactive_file, sample.working_set) == (6000, 9_994_000)
        assert (sample.periods, sample.throttled_periods, sample.throttled_ns) == (10, 4, 77_000)
        assert (sample.pids, sample.oom_kills) == (5, 2)
        assert sample.time_ns > 0


def test_every_read_is_fresh(tmp_path: Path) -> None:
    directory = make(tmp_path, V2_FILES)
    with V2Sampler(directory) as sampler:
        assert sampler.sample().pids == 5
        (tmp_path / "pids.current").write_text("6\n")
        assert sampler.sample().pids == 6


def test_working_set_is_never_negative(tmp_path: Path) -> None:
    directory = make(tmp_path, {**V2_FILES, "memory.current": "5999\n"})
    with V2Sampler(directory) as sampler:
        assert sampler.sample().working_set == 0


def test_a_file_that_is_missing_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    directory = make(tmp_path, {k: v for k, v in V2_FILES.items() if k != "pids.current"})
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError, match=r"pids\.current"):
        V2Sampler(directory)
    assert len(os.listdir("/proc/self/fd")) == before


def test_close_twice(tmp_path: Path) -> None:
    sampler = V2Sampler(make(tmp_path, V2_FILES))
    sampler.close()
    sampler.close()


@pytest.mark.parametrize(
    ("flat", "key", "value"),
    [
        (b"a 1\nb 2\n", b"a", 1),
        (b"a 1\nb 2\n", b"b", 2),
        (b"a 1\nb 2", b"b", 2),
        (b"inactive_file 3\nfile 4\n", b"file", 4),
        (b"file_mapped 3\n", b"file", 0),
        (b"", b"file", 0),
    ],
)
def test_number(flat: bytes, key: bytes, value: int) -> None:
    assert number(flat, key) == value
