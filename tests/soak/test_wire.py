"""What is heard on a wire is whole, however the bytes are cut; and a proxy drops what it is told to."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from tests.support.proxy import Proxy
from tests.support.wire import Messages, Recorder

REQUEST = b'POST /api/campaigns HTTP/1.1\r\nIdempotency-Key: k1\r\nContent-Length: 7\r\n\r\n{"a":1}'
ANSWER = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_messages_are_whole_however_they_arrive(step):
    stream, messages = REQUEST + ANSWER + REQUEST, Messages()
    heard = [one for start in range(0, len(stream), step) for one in messages.feed(stream[start : start + step])]
    assert [body for _, body in heard] == [b'{"a":1}', b"", b'{"a":1}']


def test_answers_belong_to_requests_in_their_order():
    recorder = Recorder(lambda _, path: path == "/api/campaigns")
    tap = recorder.tap()
    tap.sent(b"GET /other HTTP/1.1\r\n\r\n" + REQUEST)
    tap.answered(ANSWER)
    tap.answered(b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"b": 2}')
    (exchange,) = recorder.exchanges
    assert (exchange.key, exchange.body, exchange.status, exchange.answer) == ("k1", {"a": 1}, 201, {"b": 2})
    assert exchange.asked < exchange.answered


async def served(count):
    """A server that counts what it was asked."""

    async def answer(request):
        count.append(request.path)
        return web.Response(text="yes")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def test_a_dropped_reply_has_taken_effect_and_its_client_is_cut_off():
    count = []
    runner = await served(count)
    drops = iter([True, False])
    async with (
        Proxy(runner.addresses[0], drops=lambda _: next(drops)).serving() as proxy,
        aiohttp.ClientSession() as ask,
    ):
        with pytest.raises(aiohttp.ClientError):
            await ask.post(proxy.url)  # aiohttp repeats a GET by itself
        answer = await ask.get(proxy.url)
        assert (await answer.text(), len(count), proxy.dropped) == ("yes", 2, 1)
    await runner.cleanup()


async def test_connections_go_to_a_backend_that_is_there_and_are_cut_where_none_is():
    count = []
    runner = await served(count)
    async with Proxy(("127.0.0.1", 1), runner.addresses[0]).serving() as proxy:
        for _ in range(3):
            async with aiohttp.ClientSession() as ask, ask.get(proxy.url) as answer:
                assert answer.status == 200
        proxy.backends = [("127.0.0.1", 1)]
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as ask, ask.get(proxy.url):
                pass
    await runner.cleanup()
    assert len(count) == 3
