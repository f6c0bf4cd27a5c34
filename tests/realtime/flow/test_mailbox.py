"""One item between two loops: the newer replaces the untaken, or put waits."""

import asyncio

import pytest

from realtime.errors import EndOfStream
from realtime.flow.mailbox import Mailbox


async def test_newer_item_replaces_untaken_one_when_live() -> None:
    box: Mailbox[int] = Mailbox(live=True)
    assert await box.put(1) is None
    assert await box.put(2) == 1
    assert len(box) == 1
    assert await box.take() == 2


async def test_put_waits_for_room_when_recorded() -> None:
    box: Mailbox[int] = Mailbox(live=False)
    await box.put(1)
    second = asyncio.create_task(box.put(2))
    await asyncio.sleep(0.01)
    assert not second.done()
    assert len(box) == 1
    assert await box.take() == 1
    assert await second is None
    assert await box.take() == 2


async def test_take_waits_for_an_item() -> None:
    box: Mailbox[int] = Mailbox(live=True)
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0.01)
    assert not taking.done()
    await box.put(7)
    assert await taking == 7


@pytest.mark.parametrize("live", [True, False])
async def test_closed_mailbox_gives_its_item_then_ends(live: bool) -> None:
    box: Mailbox[int] = Mailbox(live)
    await box.put(1)
    box.close()
    assert await box.take() == 1
    with pytest.raises(EndOfStream):
        await box.take()


@pytest.mark.parametrize("live", [True, False])
async def test_closed_mailbox_accepts_nothing(live: bool) -> None:
    box: Mailbox[int] = Mailbox(live)
    box.close()
    with pytest.raises(EndOfStream):
        await box.put(1)


async def test_closing_ends_those_who_wait() -> None:
    empty: Mailbox[int] = Mailbox(live=False)
    full: Mailbox[int] = Mailbox(live=False)
    await full.put(1)
    waiting = [asyncio.create_task(empty.take()), asyncio.create_task(full.put(2))]
    await asyncio.sleep(0.01)
    empty.close()
    full.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EndOfStream, EndOfStream]


async def test_nothing_is_lost_and_order_is_kept_among_several_who_put_and_take() -> None:
    box: Mailbox[tuple[int, int]] = Mailbox(live=False)
    taken: list[tuple[int, int]] = []

    async def give(who: int) -> None:
        for number in range(50):
            await box.put((who, number))

    async def receive() -> None:
        while True:
            taken.append(await box.take())
            await asyncio.sleep(0)

    takers = [asyncio.create_task(receive()) for _ in range(2)]
    await asyncio.gather(*(give(who) for who in range(3)))
    box.close()
    await asyncio.gather(*takers, return_exceptions=True)
    for who in range(3):
        assert [number for giver, number in taken if giver == who] == list(range(50))


async def test_a_cancelled_take_loses_no_item() -> None:
    box: Mailbox[int] = Mailbox(live=False)
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    await box.put(1)
    taking.cancel()
    outcome = (await asyncio.gather(taking, return_exceptions=True))[0]
    left = [] if outcome == 1 else [await box.take()]
    assert outcome == 1 or left == [1]
