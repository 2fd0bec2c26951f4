"""Logs as the kubelet has them are read whole, though it puts them away now and then."""

from __future__ import annotations

from pathlib import Path

from tests.bench.xds.apart import Tail


def test_a_log_is_read_as_it_grows_and_only_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    tail = Tail(log)
    assert tail.lines() == []
    log.write_text("a\nb")
    assert tail.lines() == ["a"]
    with log.open("a", buffering=1) as more:
        more.write("b\n")
    assert tail.lines() == ["bb"]
    tail.close()


def test_what_is_put_away_is_read_to_its_end_before_the_next_log(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("a\n")
    tail = Tail(log)
    assert tail.lines() == ["a"]
    with log.open("a", buffering=1) as more:
        log.rename(tmp_path / "0.log.1")
        more.write("b\n")
        assert tail.lines() == ["b"]
        more.write("c\n")
    log.write_text("d\n")
    assert tail.lines() == ["c", "d"]
    tail.close()
