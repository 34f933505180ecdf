# example_endpoint.py - a whole Frappe endpoint that streams its progress.
# SPDX-License-Identifier: MIT
"""POST /api/method/my_app.api.chat_completion, with the session cookie of a signed-in user:

    {"messages": [{"role": "user", "content": "Why is the sky blue?"}], "mode": "agent"}

answers `{"message": {"task_id", "text", "reasoning"}}`, as it did when the model was asked without
streaming. While the model answers, the user's own clients get `ai_progress` events, and nobody
else does: they go to the user's room, and each names its task. A client that wants to know the
task beforehand chooses a `task_id` itself.

The provider (any with OpenAI's chat completions) stands in site_config.json: `ai_base_url`,
`ai_model`, `ai_api_key`, and for the mode "agent" `ai_agent_prompt` if it is to differ."""
import json
import re
import urllib.request
import uuid

import frappe
from thinkwire_frappe import Emitter  # in an app: from my_app.thinkwire_frappe import Emitter

SECONDS_BETWEEN_CHUNKS = 60
MAX_MESSAGES = 200
MAX_CHARACTERS = 200_000
MODES = ("chat", "agent")
ROLES = ("system", "user", "assistant")
TASK_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@frappe.whitelist(methods=["POST"])  # signed-in users only: guests are refused before we are called
def chat_completion(messages=None, mode="chat", task_id=None):
    messages = checked(messages, mode)
    task_id = checked_task_id(task_id)

    # Before:
    #     answer = generate(messages, mode)
    #     return {"text": answer["content"], "reasoning": answer["reasoning_content"]}
    # Now:
    with Emitter(task_id, user=frappe.session.user) as progress:
        said = {"reasoning": "", "text": ""}
        for kind, delta in generate_stream(messages, mode):
            said[kind] += delta
            getattr(progress, kind)(delta)
        progress.completion(said["text"], said["reasoning"])
    return {"task_id": task_id, **said}


def checked(messages, mode):
    """A request is JSON or a form: in a form, `messages` is a string of JSON."""
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except ValueError:
            messages = None
    if mode not in MODES:
        frappe.throw(f"mode: one of {', '.join(MODES)}", frappe.ValidationError)
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_MESSAGES:
        frappe.throw(f"messages: a list of 1 to {MAX_MESSAGES}", frappe.ValidationError)
    for message in messages:
        if not (isinstance(message, dict) and message.get("role") in ROLES
                and isinstance(message.get("content"), str)):
            frappe.throw("messages: each has a role and a content", frappe.ValidationError)
    if sum(len(message["content"]) for message in messages) > MAX_CHARACTERS:
        frappe.throw(f"messages: at most {MAX_CHARACTERS} characters", frappe.ValidationError)
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def checked_task_id(task_id):
    if task_id is None:
        return f"task_{uuid.uuid4().hex}"
    if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
        frappe.throw("task_id: 1 to 128 letters, digits, and . _ : -", frappe.ValidationError)
    return task_id


def generate_stream(messages, mode):
    """Yields ("reasoning", delta) and ("text", delta) as the provider sends them."""
    prompt = frappe.conf.get("ai_agent_prompt") if mode == "agent" else None
    if prompt:
        messages = [{"role": "system", "content": prompt}, *messages]
    request = urllib.request.Request(
        frappe.conf.get("ai_base_url").rstrip("/") + "/chat/completions",
        data=json.dumps({"model": frappe.conf.get("ai_model"), "messages": messages,
                         "stream": True}).encode(),
        headers={"Content-Type": "application/json",
                 "Authorization": f"Bearer {frappe.conf.get('ai_api_key')}"})
    with urllib.request.urlopen(request, timeout=SECONDS_BETWEEN_CHUNKS) as answer:
        for line in answer:
            if not line.startswith(b"data:"):
                continue
            data = line[len(b"data:"):].strip()
            if data == b"[DONE]":
                return
            yield from deltas(json.loads(data))
    raise ConnectionError("the provider's answer broke off")


def deltas(chunk):
    if chunk.get("error"):
        raise ConnectionError("the provider failed in the middle of its answer")
    for choice in (chunk.get("choices") or [])[:1]:
        delta = choice.get("delta") or {}
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            yield "reasoning", reasoning
        if delta.get("content"):
            yield "text", delta["content"]
