"""What HTTP alone costs, the floor of the server: run by bench_serve.py.

python scripts/serve_nothing.py ANSWER_BYTES PORT

uvicorn with h11 and starlette, as bitswath's server has them, and one endpoint that reads its body and answers zeros.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def nothing(request: Request) -> Response:
    await request.body()
    return Response(bytes(int(sys.argv[1])), media_type="application/octet-stream")


if __name__ == "__main__":
    application = Starlette(routes=[Route("/{path:path}", nothing, methods=["POST"])])
    usual = {"http": "h11", "loop": "asyncio", "ws": "none", "lifespan": "off", "log_level": "error"}
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, server_header=False, **usual)
