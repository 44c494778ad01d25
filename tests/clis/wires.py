"""The four wire formats between an agent CLI and its model.

Each answer is one text or one call of a tool. Streamed answers are server-sent events; the others are one
JSON document.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

Json = dict[str, Any]
TOKENS: Final = 100


@dataclass(frozen=True)
class Text:
    """The model says this, and its turn is over. `tokens`: how long it says that the conversation is."""

    text: str
    tokens: int = TOKENS


@dataclass(frozen=True)
class Call:
    """The model calls this tool. `free` is the input of a tool that takes text in place of arguments."""

    name: str
    arguments: Json = field(default_factory=dict)
    free: str | None = None
    namespace: str | None = None
    tokens: int = TOKENS

    @property
    def written(self) -> str:
        return json.dumps(self.arguments)


Answer = Text | Call


class Wire(Protocol):
    """One format."""

    def main(self, path: str, body: Json) -> bool:
        """Whether this asks for the next step of the conversation; the rest are side requests."""

    def streamed(self, path: str, body: Json) -> bool:
        """Whether the answer is to be events."""

    def tools(self, body: Json) -> list[str]:
        """The names of the tools that the model may call."""

    def last(self, body: Json) -> Any:
        """The newest message of the conversation."""

    def events(self, answer: Answer, model: str) -> Iterator[bytes]:
        """The answer as events."""

    def whole(self, answer: Answer, model: str) -> Json:
        """The answer as one document."""


def _event(data: Json, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


class ChatCompletions:
    """`POST /v1/chat/completions`."""

    def main(self, path: str, body: Json) -> bool:
        return bool(body.get("tools"))

    def streamed(self, path: str, body: Json) -> bool:
        return bool(body.get("stream"))

    def last(self, body: Json) -> Any:
        return body["messages"][-1]

    def tools(self, body: Json) -> list[str]:
        return [tool["function"]["name"] for tool in body.get("tools", [])]

    def _usage(self, answer: Answer) -> Json:
        said = 10
        return {
            "prompt_tokens": answer.tokens,
            "completion_tokens": said,
            "total_tokens": answer.tokens + said,
        }

    def _message(self, answer: Answer) -> Json:
        if isinstance(answer, Text):
            return {"role": "assistant", "content": answer.text}
        function = {"name": answer.name, "arguments": answer.written}
        call = {"id": _id("call"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def events(self, answer: Answer, model: str) -> Iterator[bytes]:
        head = {
            "id": _id("chat"),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
        }
        delta = self._message(answer)
        for index, call in enumerate(delta.get("tool_calls", [])):
            call["index"] = index
        end = "stop" if isinstance(answer, Text) else "tool_calls"
        yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        yield _event(head | {"choices": [], "usage": self._usage(answer)})
        yield b"data: [DONE]\n\n"

    def whole(self, answer: Answer, model: str) -> Json:
        end = "stop" if isinstance(answer, Text) else "tool_calls"
        choice = {"index": 0, "message": self._message(answer), "finish_reason": end}
        head = {"id": _id("chat"), "object": "chat.completion", "created": 1_700_000_000, "model": model}
        return head | {"choices": [choice], "usage": self._usage(answer)}


class Responses:
    """`POST /v1/responses`."""

    def main(self, path: str, body: Json) -> bool:
        return bool(body.get("tools"))

    def streamed(self, path: str, body: Json) -> bool:
        return bool(body.get("stream"))

    def last(self, body: Json) -> Any:
        return body["input"][-1]

    def tools(self, body: Json) -> list[str]:
        names = []
        for tool in body.get("tools", []):
            if tool.get("type") == "namespace":
                names += [f"{tool['name']}{part['name']}" for part in tool["tools"]]
            else:
                names.append(tool.get("name", tool["type"]))
        return names

    def _item(self, answer: Answer) -> Json:
        if isinstance(answer, Text):
            content = [{"type": "output_text", "text": answer.text, "annotations": []}]
            return {"type": "message", "id": _id("msg"), "role": "assistant", "content": content}
        head = {"id": _id("fc"), "call_id": _id("call"), "name": answer.name}
        if answer.free is not None:
            return head | {"type": "custom_tool_call", "input": answer.free}
        spaced = {} if answer.namespace is None else {"namespace": answer.namespace}
        return head | spaced | {"type": "function_call", "arguments": answer.written}

    def whole(self, answer: Answer, model: str) -> Json:
        usage = {"input_tokens": answer.tokens, "output_tokens": 10, "total_tokens": answer.tokens + 10}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": None}
        head = {"id": _id("resp"), "object": "response", "status": "completed", "model": model}
        return head | {"output": [self._item(answer)], "usage": usage | details}

    def events(self, answer: Answer, model: str) -> Iterator[bytes]:
        response = self.whole(answer, model)
        item = response["output"][0]
        begun = response | {"status": "in_progress", "output": []}
        steps: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
        for step in steps:
            yield _event(step, step["type"])


class Messages:
    """`POST /v1/messages`."""

    def main(self, path: str, body: Json) -> bool:
        return "count_tokens" not in path and bool(body.get("tools"))

    def streamed(self, path: str, body: Json) -> bool:
        return bool(body.get("stream"))

    def last(self, body: Json) -> Any:
        return body["messages"][-1]

    def tools(self, body: Json) -> list[str]:
        return [tool["name"] for tool in body.get("tools", [])]

    def whole(self, answer: Answer, model: str) -> Json:
        if isinstance(answer, Text):
            block, end = {"type": "text", "text": answer.text}, "end_turn"
        else:
            block = {"type": "tool_use", "id": _id("toolu"), "name": answer.name, "input": answer.arguments}
            end = "tool_use"
        return {
            "id": _id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [block],
            "stop_reason": end,
            "stop_sequence": None,
            "usage": {"input_tokens": answer.tokens, "output_tokens": 10},
        }

    def events(self, answer: Answer, model: str) -> Iterator[bytes]:
        message = self.whole(answer, model)
        block = message["content"][0]
        if isinstance(answer, Text):
            empty, delta = block | {"text": ""}, {"type": "text_delta", "text": answer.text}
        else:
            empty = block | {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": answer.written}
        ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        steps: list[Json] = [
            {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 10}},
            {"type": "message_stop"},
        ]
        for step in steps:
            yield _event(step, step["type"])


class GenerateContent:
    """`POST /v1beta/models/MODEL:streamGenerateContent`."""

    def main(self, path: str, body: Json) -> bool:
        return "eneratecontent" in path.lower() and bool(self.tools(body))

    def streamed(self, path: str, body: Json) -> bool:
        return ":streamGenerateContent" in path

    def last(self, body: Json) -> Any:
        return body["contents"][-1]

    def tools(self, body: Json) -> list[str]:
        return [one["name"] for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]

    def whole(self, answer: Answer, model: str) -> Json:
        if isinstance(answer, Text):
            part: Json = {"text": answer.text}
        else:
            part = {"functionCall": {"id": _id("call"), "name": answer.name, "args": answer.arguments}}
        content = {"role": "model", "parts": [part]}
        return {
            "candidates": [{"index": 0, "content": content, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": answer.tokens,
                "candidatesTokenCount": 10,
                "totalTokenCount": answer.tokens + 10,
            },
            "modelVersion": model,
            "responseId": _id("resp"),
        }

    def events(self, answer: Answer, model: str) -> Iterator[bytes]:
        yield _event(self.whole(answer, model))
