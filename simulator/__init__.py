"""A provider that speaks the real Gemini and OpenAI wire formats, with faults on demand.

    python -m simulator [--host H] [--port 0] [--seed N] [--first-token-s S] [--tokens-per-s R]
                        [--length N] [--kept N]
    async with running_simulator(seed=1) as sim: ...          sim.url, sim.behaviours, sim.journal

Provider paths; the first segment is any name, and names a provider of its own:

    POST /{provider}/v1/chat/completions                       GET /{provider}/v1/models[/{model}]
    POST /{provider}/v1/responses
    POST /{provider}/v1|v1beta/models/{model}:generateContent | :streamGenerateContent?alt=sse

Behaviour (`behaviour.Behaviour`, faults in `faults`), closest first:

    model "name?first_token_s=0.2&tokens_per_s=50&cut_after=9"; with `;` instead of `?` and `&`,
        or percent-encoded, where an SDK refuses those characters in a model's name
    PUT, DELETE /_sim/models/{model | provider/model | provider/* | *}
        {"length": 200, "faults": [{"type": "status", "code": 503, "retry_after_s": 2}]}
        {"script": [{"faults": [{"type": "silence"}]}], "then": {}}      one entry a request
    the command line

What happened: GET /_sim/requests?provider=&model=&limit=, GET /_sim/stats, GET /_sim/models,
POST /_sim/reset.
"""

from simulator.behaviour import Behaviour, Script
from simulator.server import RunningSimulator, running_simulator

__all__ = ["Behaviour", "RunningSimulator", "Script", "running_simulator"]
