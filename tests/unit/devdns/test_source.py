"""A names file that is read again, whatever an editor does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from grpcbalance.devdns import source as source_module
from grpcbalance.devdns.hosts import Hosts, SourceError
from grpcbalance.devdns.source import NamesFile


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "POLL", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "names.yaml"
    path.write_text(text("127.0.0.1"))
    return path


def text(*addresses: str) -> str:
    return f"orders.test: {{addresses: [{', '.join(addresses)}]}}\n"


class Told:
    """What a source published and what it complained of, one after the other."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[list[str] | str] = asyncio.Queue()

    def publish(self, hosts: Hosts) -> None:
        self._queue.put_nowait([str(e.address) for host in hosts.values() for e in host.endpoints])

    def trouble(self, text: str) -> None:
        self._queue.put_nowait(text)

    async def next(self) -> list[str] | str:
        return await self._queue.get()

    def nothing_more(self) -> bool:
        return self._queue.empty()


# What is done to the file, and what must be told then.
Step = tuple[Callable[[], object], list[str] | str]


def follow(path: Path, *steps: Step) -> None:
    async def main() -> None:
        source, told = NamesFile(path, None), Told()
        assert [str(e.address) for e in (await source.read())["orders.test"].endpoints] == ["127.0.0.1"]
        running = asyncio.create_task(source.run(told.publish, told.trouble))
        async with asyncio.timeout(10):
            for act, expected in steps:
                act()
                assert await told.next() == expected
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await source.close()
        assert told.nothing_more()

    asyncio.run(main())


def writes(path: Path, *addresses: str) -> Callable[[], object]:
    return lambda: path.write_text(text(*addresses))


def test_written_in_place(path: Path) -> None:
    follow(path, (writes(path, "127.0.0.1", "127.0.0.2"), ["127.0.0.1", "127.0.0.2"]))


def test_replaced_by_another_file_of_the_same_length(path: Path) -> None:
    new = path.with_suffix(".new")

    def replace(address: str) -> None:
        new.write_text(text(address))
        new.replace(path)

    follow(path, (lambda: replace("127.0.0.2"), ["127.0.0.2"]), (lambda: replace("127.0.0.3"), ["127.0.0.3"]))


def test_broken_then_good_again(path: Path) -> None:
    follow(
        path,
        (
            lambda: path.write_text("orders.test:\n  addresses: [127.0.0.1\n"),
            f"{path}: line 3: no YAML: expected ',' or ']', but got '<stream end>'",
        ),
        (
            lambda: path.write_text("orders.test:\n  address: []\n"),
            f"{path}: line 1: orders.test: addresses: Field required",
        ),
        (lambda: path.write_bytes(b"\xff\n"), f"{path}: is not UTF-8 text"),
        (writes(path, "127.0.0.9"), ["127.0.0.9"]),
    )


def test_removed_then_there_again(path: Path) -> None:
    follow(path, (path.unlink, f"{path}: No such file or directory"), (writes(path, "127.0.0.9"), ["127.0.0.9"]))


def test_link_that_leads_elsewhere(path: Path) -> None:
    # A mounted ConfigMap changes so.
    other, link = path.with_name("other.yaml"), path.with_name("link")
    other.write_text(text("127.0.0.2"))

    def lead_to(target: Path) -> None:
        new = path.with_name("new")
        new.symlink_to(target)
        new.replace(link)

    lead_to(path)
    follow(link, (lambda: lead_to(other), ["127.0.0.2"]), (lambda: lead_to(path), ["127.0.0.1"]))


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.yaml: No such file or directory"):
        asyncio.run(NamesFile(tmp_path / "absent.yaml", None).read())
    (tmp_path / "big.yaml").write_text("#" * 2_000_000)
    with pytest.raises(SourceError, match=r"line 1: the file is longer than 1048576 characters"):
        asyncio.run(NamesFile(tmp_path / "big.yaml", None).read())
