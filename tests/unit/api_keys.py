# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API keys of a user of Zot, in memory."""

from __future__ import annotations

import base64
import datetime
import json
import typing as t

from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request

PASSWORD = "password-of-the-pods"
Result = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


class Keys:
    """The API keys of one user, as Zot lists them."""

    def __init__(self) -> None:
        self.held: dict[str, Result] = {}
        self.made = 0

    def __call__(self, request: Request) -> Reply:
        account = base64.b64decode((request.authorization or "").partition(" ")[2]).decode()
        username, _colon, password = account.partition(":")
        if username != "puller" or password not in (PASSWORD, *(f"zak_{uuid}-secret" for uuid in self.held)):
            return Reply(b"{}", 401)
        if request.method == "DELETE":
            del self.held[request.path.partition("?id=")[2]]
            return Reply()
        if request.method == "POST":
            self.made += 1
            uuid, asked = f"uuid-{self.made}", json.loads(request.body)
            now = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
            self.held[uuid] = {
                "uuid": uuid,
                "label": asked["label"],
                "createdAt": now,
                "expirationDate": asked["expirationDate"],
                "lastUsed": "0001-01-01T00:00:00Z",
            }
            return Reply(json.dumps({**self.held[uuid], "apiKey": f"zak_{uuid}-secret"}).encode(), 201)
        return Reply(json.dumps({"apiKeys": list(self.held.values())}).encode())
