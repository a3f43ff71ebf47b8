# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._copy.run import cosign_message, is_unsigned

WARNING = "WARNING: Skipping tlog verification is an insecure practice that lacks transparency and auditability."
# Of cosign 3.1.2: a signature by another key in both formats, no signature, and a key that does not exist.
OTHER_BUNDLE = """\
Error: no matching attestations: failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1
failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1
error during command execution: no matching attestations: failed to verify signature: could not verify envelope
"""  # noqa: E501
UNSIGNED = "Error: no signatures found\nerror during command execution: no signatures found\n"
NO_KEY = "Error: loading verifier from key opts: loading public key: open none.pub: no such file or directory\n"


@pytest.mark.parametrize(
    ("stderr", "message", "refused"),
    [
        (OTHER_BUNDLE, "no matching attestations: failed to verify signature", True),
        (UNSIGNED, "no signatures found", True),
        (NO_KEY, "loading verifier from key opts", False),
        ("panic: nil\n", "panic: nil", False),
        ("", "", False),
    ],
)
def test_cosign_message(stderr: str, message: str, refused: bool) -> None:
    """Only what says something about the image refuses it."""
    assert cosign_message(f"{WARNING}\n{stderr}" if stderr else "").startswith(message)
    assert is_unsigned(stderr) is refused
