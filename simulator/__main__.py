"""Run the simulator as a process of its own: `python -m simulator --port 0`."""

import argparse
import asyncio
import signal
import sys

import uvloop

from simulator.behaviour import Behaviour
from simulator.server import running_simulator


def _arguments() -> argparse.Namespace:
    usual = Behaviour()
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=int, default=1000, help="requests remembered")
    parser.add_argument("--first-token-s", type=float, default=usual.first_token_s)
    parser.add_argument("--tokens-per-s", type=float, default=usual.tokens_per_s)
    parser.add_argument("--length", type=int, default=usual.length, help="tokens of an answer")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    defaults = Behaviour(
        first_token_s=arguments.first_token_s,
        tokens_per_s=arguments.tokens_per_s,
        length=arguments.length,
    )
    async with running_simulator(
        seed=arguments.seed,
        defaults=defaults,
        host=arguments.host,
        port=arguments.port,
        kept=arguments.kept,
    ) as simulator:
        print(f"simulator listening on {simulator.url}", flush=True)
        await stop.wait()


def main() -> None:
    try:
        uvloop.run(_serve(_arguments()))
    except (OSError, ValueError) as error:
        sys.exit(f"simulator: {error}")


if __name__ == "__main__":
    main()
