"""The official Python client against the server: every call that a client of ours may make."""

import json
import unittest
import warnings

import httpx
import jsonschema
import openai
import openai.types
from openai.types import chat

import server

warnings.filterwarnings("ignore", category=DeprecationWarning)


def schema(name):
    return json.loads((server.SCHEMAS / f"{name}.schema.json").read_text())


# Thoughts have no place in the published types; servers put them here all the same.
EXTENSIONS = {"reasoning", "reasoning_content"}


def unknown_members(value, at=""):
    """Members of a validated reply that the official types do not have, as paths."""
    if isinstance(value, list):
        return [path for item in value for path in unknown_members(item, at + "[]")]
    if not hasattr(value, "model_fields_set"):
        return []
    own = [f"{at}.{name}" for name in value.model_extra or {} if name not in EXTENSIONS]
    return own + [path for name in type(value).model_fields
                  for path in unknown_members(getattr(value, name), f"{at}.{name}")]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = server.running("--faults")
        address, cls.process = cls.context.__enter__()
        cls.base = f"http://{address}/v1"
        cls.client = openai.OpenAI(base_url=cls.base, api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.context.__exit__(None, None, None)

    def chat(self, model="cambrian-mutator", **more):
        return self.client.chat.completions.create(
            model=model, messages=server.messages(), **more)


class Client(Case):
    def test_models_are_listed_and_found(self):
        ids = [model.id for model in self.client.models.list()]
        self.assertIn("cambrian-mutator", ids)
        self.assertEqual(self.client.models.retrieve("cambrian-mutator").object, "model")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("nobody")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_chat_answers_with_an_edit_of_the_program(self):
        reply = self.chat()
        content = reply.choices[0].message.content
        self.assertIn("<<<<<<< SEARCH", content)
        search = content.split("<<<<<<< SEARCH\n")[1].split("=======\n")[0]
        self.assertIn(search, server.PROGRAM_TEXT)
        self.assertEqual(reply.choices[0].finish_reason, "stop")
        self.assertEqual(reply.usage.total_tokens,
                         reply.usage.prompt_tokens + reply.usage.completion_tokens)

    def test_n_gives_different_choices(self):
        reply = self.chat(n=2, seed=5)
        self.assertEqual([choice.index for choice in reply.choices], [0, 1])
        self.assertNotEqual(reply.choices[0].message.content, reply.choices[1].message.content)

    def test_seed_repeats_the_answer(self):
        first, second, other = (self.chat(seed=seed) for seed in (3, 3, 4))
        self.assertEqual(first.choices[0].message.content, second.choices[0].message.content)
        self.assertNotEqual(first.choices[0].message.content, other.choices[0].message.content)

    def test_streaming_gives_the_same_text_and_usage(self):
        whole = self.chat(seed=3)
        text, usage, finish = "", None, None
        with self.chat(seed=3, stream=True, stream_options={"include_usage": True}) as stream:
            for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(finish, "stop")
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_limits_and_stop_words_cut(self):
        cut = self.chat(seed=3, max_tokens=5).choices[0]
        self.assertEqual(cut.finish_reason, "length")
        cut = self.chat(seed=3, max_completion_tokens=5).choices[0]
        self.assertEqual(cut.finish_reason, "length")
        stopped = self.chat(seed=3, stop=["<<<<<<<"]).choices[0]
        self.assertEqual(stopped.finish_reason, "stop")
        self.assertNotIn("<<<<<<<", stopped.message.content)

    def test_errors_have_their_classes(self):
        for model, error, code in (("fault-429", openai.RateLimitError, "rate_limit_exceeded"),
                                   ("fault-429-quota", openai.RateLimitError, "insufficient_quota"),
                                   ("fault-500", openai.InternalServerError, None),
                                   ("fault-401", openai.AuthenticationError, None),
                                   ("nobody", openai.NotFoundError, "model_not_found")):
            with self.subTest(model=model), self.assertRaises(error) as caught:
                self.chat(model)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature=9)
        self.assertEqual(caught.exception.param, "temperature")

    def test_error_in_the_middle_of_a_stream_is_raised(self):
        with self.assertRaises(openai.APIError) as caught:
            for _ in self.chat("fault-error-in-stream", stream=True):
                pass
        self.assertIn("middle", str(caught.exception))

    def test_cut_connections_are_seen(self):
        with self.assertRaises(openai.APIConnectionError):
            self.chat("fault-cut")
        with self.assertRaises(httpx.RemoteProtocolError):
            for _ in self.chat("fault-cut", stream=True):
                pass

    def test_a_client_that_retries_gets_through(self):
        with openai.OpenAI(base_url=self.base, api_key="none", max_retries=3) as client:
            reply = client.chat.completions.create(model="fault-429:2", messages=server.messages())
        self.assertEqual(reply.choices[0].finish_reason, "stop")


class Schemas(Case):
    """Clients accept replies that lack members: the schemas do not. The schemas are ours, the types
    are those of the official client: an error would have to be in both."""

    def check(self, value, name, official):
        jsonschema.validate(value, schema(name))
        # From text: in strict mode objects are taken from JSON only.
        made = official.model_validate_json(json.dumps(value), strict=True)
        self.assertEqual(unknown_members(made), [])

    def test_the_official_types_are_strict(self):
        """So that the checks below can fail."""
        reply = self.post().json()
        for change in ({"created": "1"}, {"object": "chat"}, {"choices": None}, {"id": None},
                       {"usage": {"prompt_tokens": 1.5}}):
            with self.subTest(change=change), self.assertRaises(ValueError):
                chat.ChatCompletion.model_validate_json(json.dumps(reply | change), strict=True)
        made = chat.ChatCompletion.model_validate_json(
            json.dumps(reply | {"own": 1, "usage": reply["usage"] | {"more": 2}}), strict=True)
        self.assertEqual(unknown_members(made), [".own", ".usage.more"])

    def post(self, **more):
        body = {"model": "cambrian-mutator", "messages": server.messages()} | more
        return httpx.post(f"{self.base}/chat/completions", json=body)

    def test_whole_replies(self):
        for more in ({}, {"n": 3}, {"max_tokens": 3}, {"response_format": {"type": "json_object"}},
                     {"model": "fault-truncated"}, {"model": "fault-filtered"},
                     {"model": "fault-empty"}, {"model": "fault-reasoning"}):
            with self.subTest(more=more):
                self.check(self.post(**more).json(), "chat_completion", chat.ChatCompletion)

    def test_streamed_replies(self):
        for more in ({}, {"n": 2}, {"stream_options": {"include_usage": True}},
                     {"model": "fault-empty"}, {"model": "fault-reasoning"}):
            with self.subTest(more=more):
                reply = self.post(stream=True, **more)
                self.assertTrue(reply.headers["content-type"].startswith("text/event-stream"))
                events = [line[len("data: "):] for line in reply.text.split("\n\n") if line]
                self.assertEqual(events[-1], "[DONE]")
                chunks = [json.loads(event) for event in events[:-1]]
                for chunk in chunks:
                    self.check(chunk, "chat_completion_chunk", chat.ChatCompletionChunk)
                self.assertEqual(len({chunk["id"] for chunk in chunks}), 1)
                if "stream_options" in more:
                    self.assertEqual(chunks[-1]["choices"], [])
                    self.assertGreater(chunks[-1]["usage"]["completion_tokens"], 0)

    def test_models(self):
        models = httpx.get(f"{self.base}/models").json()
        jsonschema.validate(models, schema("model_list"))
        for model in models["data"]:
            openai.types.Model.model_validate_json(json.dumps(model), strict=True)

    def test_errors(self):
        replies = [self.post(model="nobody"), self.post(n=0), self.post(model="fault-429"),
                   self.post(model="fault-503"), self.post(model="fault-error-in-200"),
                   httpx.post(f"{self.base}/chat/completions", content=b"{"),
                   httpx.get(f"{self.base}/nothing"), httpx.get(f"{self.base}/chat/completions")]
        for reply in replies:
            with self.subTest(reply=reply.status_code):
                jsonschema.validate(reply.json(), schema("error"))


if __name__ == "__main__":
    unittest.main()
