"""A small real server with OpenAI's interface for embeddings, which runs `tiny` and fails on demand.

It shares no code with the package: transformers loads the model, and each prompt is read alone.
"""

import base64
import json
import socket
import struct
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import torch
from conftest import PACKAGE
from transformers import AutoModelForCausalLM, AutoTokenizer


class EmbeddingServer(ThreadingHTTPServer):
    """Serves on a free port of this machine until `close`.

    Attributes:
        url: what clients are given.
        asked: the bodies of all requests for embeddings, answered or not.
        models: the names that it lists; None for an address without a list.
        let_go: "slow" answers wait until it is set.
        faults: what goes wrong with the next ones, one each: "500" or another status, "429 in 1" (seconds), "reset",
            "slow", "fewer", "shuffled", "wide", "nan", "text".
        key: what clients must send; None for nothing.
        unit: give vectors of unit length.
        floats: give lists of numbers, whatever was asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        folder = PACKAGE / "checkpoints" / "tiny"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.lm = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.behave()
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def behave(self) -> None:
        """Forget all that happened, and do no wrong."""
        self.let_go, self.models = Event(), ["tiny", "other"]
        self.asked, self.faults, self.key, self.unit, self.floats = [], deque(), None, False, False

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    @torch.inference_mode()
    def embed(self, prompt: str | list[int]) -> torch.Tensor:
        """The last token's state, after the last norm: (d,)."""
        ids = self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
        state = self.lm.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        return state / state.norm() if self.unit else state


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802
        known = self.path == "/v1/models" and self.server.models
        self.answer(200, {"data": [{"id": name} for name in known]}) if known else self.fail(404, "Not Found")

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        server.asked.append(body)
        fault = server.faults.popleft() if server.faults else ""
        status, _, seconds = fault.partition(" in ")
        if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
            self.fail(401, f"Incorrect API key provided: {self.headers['Authorization']}")
        elif self.path != "/v1/embeddings":
            self.fail(404, "Not Found")
        elif body["model"] != "tiny":
            self.fail(404, f"The model `{body['model']}` does not exist.")
        elif status.isdigit():
            self.fail(int(status), "out of order", {"Retry-After": seconds} if seconds else {})
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault == "text":
            self.answer(200, "It works!")
        else:
            if fault == "slow":
                server.let_go.wait(60)
            self.answer(200, {"object": "list", "data": self.vectors(body, fault)})

    def vectors(self, body: dict, fault: str) -> list[dict]:
        states = [self.server.embed(prompt) for prompt in body["input"]]
        if fault == "wide":
            states[-1] = torch.cat([states[-1], torch.zeros(1)])
        if fault == "nan":
            states[0] = states[0] * torch.nan
        packed = body.get("encoding_format") == "base64" and not self.server.floats
        data = [
            {"index": i, "embedding": base64.b64encode(v.numpy().tobytes()).decode() if packed else v.tolist()}
            for i, v in enumerate(states)
        ]
        return {"fewer": data[1:], "shuffled": data[::-1]}.get(fault, data)

    def fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self.answer(status, {"error": {"message": message, "code": status}}, headers)

    def answer(self, status: int, content, headers: dict[str, str] | None = None) -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        try:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # the client did not wait
            self.close_connection = True
