# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")


class TestWrite:
    """Registry.write: it reads the tag before it repeats a write."""

    @pytest.fixture
    def done(self, registry: Registry, fake: t.Any) -> t.Callable[..., Image]:
        source = fake.put("demo/app", "source")

        def write() -> Image:
            return registry.write(
                APP, lambda: registry.tag(APP.pinned(source), "1"), lambda image: image.digest == source
            )

        return write

    def test_it_works(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_an_answer_that_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "answer-cut-short", tool="crane 0.22.1", applied=True, times=9)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_a_write_that_did_not_land(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503")
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 2

    def test_a_500_that_dropped_the_tag(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-500", drops=True)
        assert done().digest == fake.tags["demo/app"]["1"]
        assert len(fake.writes) == 2

    def test_the_last_error_says_what_is_there(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        before = fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(f"; {HOST}/demo/app:1 now holds {before}")

    def test_the_last_error_says_that_nothing_is_there(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.put("demo/app", "1", salt="before")
        fake.fail("tag", "demo/app:1", "status-500", times=99, drops=True)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(" now holds nothing")

    def test_the_last_answer_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503", times=2)
        fake.fail("tag", "demo/app:1", "answer-cut-short", tool="crane 0.22.1", applied=True)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 3

    def test_nobody_knows(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "status-503", times=99)
        fake.fail("manifest", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.endswith(f"the current image of {HOST}/demo/app:1 is not known")

    def test_written_and_unreadable(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        """A read that fails does not cause another write."""
        fake.fail("manifest", "demo/app:1", "status-503", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.message.startswith(f"{HOST}/demo/app:1 was written, but its current image is not known: ")
        assert len(fake.writes) == 1

    def test_a_tag_that_may_not_move_and_whose_answer_was_lost(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        """crane writes it again by itself; what is denied then is there."""
        fake.fail("tag", "demo/app:1", "immutable-tag", applied=True)
        assert done().digest == fake.tags["demo/app"]["source"]
        assert len(fake.writes) == 1

    def test_no_second_try_of_what_is_denied(self, done: t.Callable[..., Image], fake: t.Any) -> None:
        fake.fail("tag", "demo/app:1", "immutable-tag", times=99)
        with pytest.raises(ZotError) as raised:
            done()
        assert raised.value.error_class == "denied"
        assert len(fake.writes) == 1


class TestKeep:
    """Registry.keep: one read and one write, and after an error a read of the keeper."""

    @pytest.fixture
    def image(self, registry: Registry, fake: t.Any) -> Image:
        fake.put("demo/app", "1")
        found = registry.image(APP)
        fake.commands.clear()
        return found

    def test_it_works(self, registry: Registry, fake: t.Any, image: Image) -> None:
        registry.keep(image, APP.tagged("old"))
        assert fake.tags["demo/app"]["old"] == image.digest
        assert len(fake.commands) == 1

    def test_nothing_to_keep(self, registry: Registry, fake: t.Any, image: Image) -> None:
        registry.keep(image, None)
        registry.keep(Image(APP.tagged("absent")), APP.tagged("old"))
        assert fake.commands == []

    def test_an_answer_that_was_lost(self, registry: Registry, fake: t.Any, image: Image) -> None:
        fake.fail("tag", "demo/app:old", "answer-cut-short", tool="crane 0.22.1", applied=True, times=9)
        registry.keep(image, APP.tagged("old"))
        assert len(fake.writes) == 1

    def test_a_keeper_that_may_not_move_and_holds_the_image(
        self, registry: Registry, fake: t.Any, image: Image
    ) -> None:
        fake.tags["demo/app"]["old"] = image.digest
        fake.fail("tag", "demo/app:old", "immutable-tag", tool="crane 0.22.1", times=9)
        registry.keep(image, APP.tagged("old"))

    def test_a_keeper_that_may_not_move(self, registry: Registry, fake: t.Any, image: Image) -> None:
        fake.put("demo/app", "old", salt="other")
        fake.fail("tag", "demo/app:old", "immutable-tag", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError) as raised:
            registry.keep(image, APP.tagged("old"))
        assert (raised.value.error_class, len(fake.writes)) == ("denied", 1)

    def test_an_error_that_passes(self, registry: Registry, fake: t.Any, image: Image) -> None:
        fake.fail("tag", "demo/app:old", "status-503", tool="crane 0.22.1", times=2)
        fake.fail("digest", "demo/app:old", "status-503", tool="crane 0.22.1", times=1)
        registry.keep(image, APP.tagged("old"))
        assert fake.tags["demo/app"]["old"] == image.digest


class TestUntag:
    """Registry.untag removes one tag."""

    @pytest.fixture(autouse=True)
    def digest(self, fake: t.Any) -> str:
        digest = fake.put("demo/app", "1")
        fake.tags["demo/app"]["2"] = digest
        return digest  # type: ignore[no-any-return]

    def test_it_works(self, registry: Registry, fake: t.Any, digest: str) -> None:
        registry.untag(APP)
        assert fake.tags["demo/app"] == {"2": digest}
        assert fake.commands[-1][1:] == ["delete", str(APP)]

    def test_a_tag_that_is_gone(self, registry: Registry, fake: t.Any) -> None:
        registry.untag(APP.tagged("absent"))
        registry.untag(Reference(HOST, "demo/none", "1"))
        assert list(fake.tags["demo/app"]) == ["1", "2"]

    @pytest.mark.parametrize("times", [1, 9])
    def test_an_answer_that_was_lost(self, registry: Registry, fake: t.Any, times: int) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", applied=True, times=times)
        registry.untag(APP)
        assert list(fake.tags["demo/app"]) == ["2"]

    def test_denied(self, registry: Registry, fake: t.Any) -> None:
        fake.fail("delete", "demo/app:1", "immutable-tag", tool="crane 0.22.1")
        with pytest.raises(ZotError, match=r"^cannot remove the tag .*demo/app:1: .*DENIED") as raised:
            registry.untag(APP)
        assert (raised.value.error_class, len(fake.writes)) == ("denied", 1)

    def test_the_last_error_says_what_is_there(self, registry: Registry, fake: t.Any, digest: str) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError) as raised:
            registry.untag(APP)
        assert raised.value.message.endswith(f"demo/app:1 still holds {digest}")

    def test_nobody_knows(self, registry: Registry, fake: t.Any) -> None:
        fake.fail("delete", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        fake.fail("digest", "demo/app:1", "status-503", tool="crane 0.22.1", times=9)
        with pytest.raises(ZotError, match=r"the current image of .*demo/app:1 is not known"):
            registry.untag(APP)
