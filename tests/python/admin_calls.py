"""Calls of the admin API, and of models with a key."""

from __future__ import annotations

import http.client
import json
from typing import Any

from outcrop_process import PATIENCE, Outcrop


def call(gateway: Outcrop, method: str, path: str, body: Any = None, *, key: str) -> tuple[int, Any]:
    """Sends one request with a key; returns the status and the answer's JSON."""
    connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def generated(gateway: Outcrop, master: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Makes a key with these fields."""
    status, key = call(gateway, "POST", "/key/generate", fields, key=master)
    assert status == 200, key
    return key
