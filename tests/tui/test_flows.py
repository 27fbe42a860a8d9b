"""The dashboard under a user's hands, on a made-up cluster."""

from __future__ import annotations

import copy
import json

import pytest

from engine.types.status import Forbidden, StatusError
from tests.tui import made_up
from tests.tui.fakes import FakeCluster
from tests.tui.harness import Driver, key_event, running

SMALL = (80, 24)


async def goto(driver: Driver, line: str) -> None:
    await driver.press(
        "colon", *("space" if c == " " else "slash" if c == "/" else c for c in line), "enter"
    )


def rows(driver: Driver) -> list[str]:
    """Keys of the list, in order."""
    return driver.screen.view.order


async def test_the_overview_is_first_and_shows_everything() -> None:
    async with running() as driver:
        text = driver.text()
        for wanted in (
            "node-1",
            "node-3",
            "deploy/web",
            "pod/giant",
            "cannot be scheduled",
            "BackOff",
        ):
            assert wanted in text
        assert driver.screen.place.view == "overview"


async def test_into_a_node_a_pod_and_back() -> None:
    async with running() as driver:
        await driver.press("enter")
        assert driver.screen.place.key == "node-1"
        await driver.press("down", "enter")
        assert driver.screen.place.view == "pod"
        assert "root file system" in driver.text()
        await driver.press("escape", "escape")
        assert driver.screen.place.view == "overview"


async def test_arrows_choose_pods_on_the_overview() -> None:
    async with running() as driver:
        await driver.press("down", "down", "down")
        assert driver.screen.sheet.target.startswith("pods:default/wave")
        await driver.press("right", "enter")
        assert driver.screen.place.key == "default/wave-7f9c6b5d8-tq2ws"


async def test_the_command_line_goes_anywhere() -> None:
    async with running(size=SMALL) as driver:
        for line, kind in (
            ("po", "pods"),
            ("deploy", "deployments"),
            ("img", "images"),
            ("svc", "services"),
        ):
            await goto(driver, line)
            assert driver.screen.place.kind == kind
        await goto(driver, "overview")
        assert driver.screen.place.view == "overview"
        await goto(driver, "bogus")
        assert "there is no view or kind 'bogus'" in driver.text()


async def test_the_command_line_completes() -> None:
    async with running(size=SMALL) as driver:
        await driver.press("colon", "d", "e", "p", "tab", "enter")
        assert driver.screen.place.kind == "deployments"


async def test_the_command_line_takes_a_namespace_and_a_filter() -> None:
    async with running() as driver:
        await goto(driver, "pods kube-system")
        assert rows(driver) == []
        assert "No pod here in kube-system" in driver.text()
        await goto(driver, "pods all")
        await goto(driver, "pods /wave")
        assert len(rows(driver)) == 2


async def test_filter_narrows_while_typing_and_escape_shows_all_again() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("slash", "w", "e", "b")
        assert len(rows(driver)) == 3
        await driver.press("enter")
        assert "/web" in driver.text()
        await driver.press("escape")
        assert len(rows(driver)) == 11
        await driver.press("slash", "x", "y", "z", "enter")
        assert "11 hidden by /xyz" in driver.text()


async def test_the_cursor_stays_on_its_object() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("down", "down", "down")
        key = driver.screen.table.key
        first = made_up.pod("aaa-first", 1, made_up.WEB, {})
        driver.fake.put("pods", first)
        await driver.until(lambda: "default/aaa-first" in rows(driver))
        await driver.settle()
        assert driver.screen.table.key == key
        driver.fake.remove("pods", key)
        await driver.until(lambda: key not in rows(driver))
        await driver.settle()
        assert driver.screen.table.key == rows(driver)[4]


async def test_moving_in_a_list() -> None:
    async with running(size=(80, 12)) as driver:
        await goto(driver, "pods")
        table = driver.screen.table
        await driver.press("G")
        assert table.key == rows(driver)[-1]
        assert table.top > 0
        await driver.press("g")
        assert (table.key, table.top) == (rows(driver)[0], 0)
        await driver.press("ctrl+f", "k")
        assert table.key == rows(driver)[table.body_height - 1]


async def test_sorting_by_letters_and_by_clicks() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("C")
        assert rows(driver)[0].startswith("default/wave")
        await driver.press("N")
        assert rows(driver) == sorted(rows(driver))
        head = driver.text().splitlines()[2]
        await driver.pilot.click("#table", offset=(head.index("NAME"), 0))
        await driver.settle()
        assert rows(driver) == sorted(rows(driver), reverse=True)


async def test_clicks_choose_and_open() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.pilot.click("#table", offset=(4, 5))
        await driver.settle()
        assert driver.screen.table.key == rows(driver)[4]
        await driver.pilot.click("#table", offset=(4, 5))
        await driver.settle()
        assert driver.screen.place.view == "pod"


async def test_deployments_lead_to_their_pods() -> None:
    async with running() as driver:
        await goto(driver, "deploy")
        await driver.press("G", "enter")
        assert [key.partition("-")[0] for key in rows(driver)] == ["default/web"] * 3
        assert "of web" in driver.text()
        await driver.press("escape")
        assert driver.screen.table.key == "default/web"


async def test_events_lead_to_their_object() -> None:
    async with running() as driver:
        await goto(driver, "events")
        await driver.press("enter")
        assert driver.screen.place.key == "default/leak-84b6c9d7f-p5jlm"
        assert "OOMKilled" in driver.text()


async def test_describe_and_yaml() -> None:
    async with running() as driver:
        await goto(driver, "pods /leak")
        await driver.press("d")
        assert "Exit Code:" in driver.text() or "Name:" in driver.text()
        await driver.press("slash", *"oomkilled", "enter")
        assert "OOMKilled" in driver.text()
        await driver.press("escape", "escape", "y")
        assert "apiVersion: v1" in driver.text()


async def test_a_description_follows_its_object() -> None:
    async with running() as driver:
        await goto(driver, "pods /giant")
        await driver.press("d")
        giant = copy.deepcopy(driver.fake.objects["pods"]["default/giant"])
        giant["metadata"]["labels"] = {"changed": "yes"}
        driver.fake.put("pods", giant)
        await driver.until(lambda: "changed=yes" in driver.text())


async def test_deleting_asks_and_cancel_is_the_default() -> None:
    async with running() as driver:
        await goto(driver, "pods /giant")
        await driver.press("ctrl+d")
        assert "Delete pod giant?" in driver.text()
        assert "Nothing will make it again." in driver.text()
        await driver.press("enter")
        assert "default/giant" in driver.fake.objects["pods"]
        await driver.press("ctrl+d", "right", "enter")
        await driver.until(lambda: "default/giant" not in driver.fake.objects["pods"])
        await driver.settle()
        method, path, body = driver.fake.requests[-1]
        assert (method, path) == ("DELETE", "/api/v1/namespaces/default/pods/giant")
        assert json.loads(body or b"")["preconditions"] == {"uid": "uid-default-giant"}
        assert "default/giant is being deleted" in driver.text()


async def test_a_refusal_is_told_in_the_apis_words() -> None:
    async with running() as driver:
        await goto(driver, "pods /giant")
        driver.fake.refuse = StatusError(
            'pods "giant" is forbidden: not you', code=403, reason="Forbidden"
        )
        await driver.press("ctrl+d", "tab", "enter")
        assert 'pods "giant" is forbidden: not you' in driver.text()
        assert Forbidden.code == 403


async def test_scaling_a_deployment() -> None:
    async with running() as driver:
        await goto(driver, "deploy")
        await driver.press("G", "s")
        assert "Scale web" in driver.text()
        await driver.press("up", "up", "enter")
        await driver.until(
            lambda: driver.fake.objects["deployments"]["default/web"]["spec"]["replicas"] == 5
        )
        await driver.settle()
        assert "web: 3 → 5 replicas" in driver.text()


async def test_escaping_a_scale_changes_nothing() -> None:
    async with running() as driver:
        await goto(driver, "deploy")
        before = len(driver.fake.requests)
        await driver.press("s", "9", "escape")
        assert all(method == "GET" for method, _, _ in driver.fake.requests[before:])


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], "keep"),
        (["right", "enter"], "stop"),
        (["right", "right", "enter"], None),
        (["escape"], None),
    ],
)
async def test_leaving_asks_whether_the_cluster_goes_on(
    keys: list[str], answer: str | None
) -> None:
    async with running() as driver:
        await driver.press("q")
        assert "Leave cluster demo?" in driver.text()
        await driver.pilot.press(*keys)
        await driver.pilot.pause()
        assert driver.app.return_value == answer
        assert driver.app._exit == (answer is not None)


async def test_q_goes_back_before_it_leaves() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("enter", "q")
        assert driver.screen.place.view == "list"
        await driver.press("q")
        assert driver.screen.place.view == "overview"


async def test_a_cluster_of_others_is_left_without_a_question() -> None:
    async with running(owns_engine=False) as driver:
        await driver.pilot.press("q")
        await driver.pilot.pause()
        assert driver.app.return_value == "detached"


async def test_logs_follow_until_one_scrolls_up() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        await driver.until(lambda: "200 in" in driver.text())
        driver.fake.write_log(b"2026-01-02T03:04:06.0Z the newest line\n")
        await driver.until(lambda: "the newest line" in driver.text())
        await driver.press("up", "up")
        assert "follow:off" in driver.text()
        driver.fake.write_log(b"2026-01-02T03:04:07.0Z a later line\n")
        await driver.until(lambda: len(driver.screen.log_view.buffer) == 402)
        await driver.settle()
        assert "a later line" not in driver.text()
        await driver.press("s")
        assert "a later line" in driver.text()
        assert "follow:on" in driver.text()


async def test_logs_are_inert_and_can_be_searched() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        await driver.until(lambda: "ERROR bad request [bold]not markup[/bold]" in driver.text())
        assert "\x1b" not in driver.text()
        await driver.press("slash", *"ERROR", "enter")
        assert "399 hidden by /ERROR" in driver.text()
        await driver.press("escape", "t")
        assert "03:04:0" in driver.text()
        await driver.press("w")
        assert "wrap:on" in driver.text()


async def test_previous_logs_and_back() -> None:
    async with running() as driver:
        await goto(driver, "pods /leak")
        await driver.press("p")
        assert "previous logs leak" in driver.text()
        await driver.press("p")
        assert "previous" not in driver.text().splitlines()[-1].partition("s follow")[0]


async def test_the_help_page_lists_the_keys_and_filters() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("question_mark")
        assert "Delete it, or all that are marked" in driver.text()
        await driver.press(*"replicas")
        assert "Delete it" not in driver.text()
        await driver.press("escape", "escape")
        assert driver.app.screen is driver.screen


async def test_the_palette_runs_commands() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("ctrl+p")
        await driver.pilot.press(*"describe")
        await driver.pilot.pause(0.3)
        await driver.pilot.press("enter")
        await driver.until(lambda: driver.screen.place.view == "describe")


async def test_namespaces_by_number() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("3")
        assert rows(driver) == []
        await driver.press("1")
        assert len(rows(driver)) == 11
        assert "NAMESPACE" not in driver.text()
        await driver.press("9")
        assert "there is no namespace number 9" in driver.text()
        await driver.press("0")
        assert driver.screen.namespace == ""


async def test_a_lost_connection_is_told_and_mended() -> None:
    async with running() as driver:
        driver.fake.cut()
        await driver.until(lambda: "disconnected" in driver.text())
        assert "node-1" in driver.text()
        driver.fake.heal()
        await driver.until(lambda: "● live" in driver.text())


async def test_a_cluster_of_others_lacks_stats_and_images() -> None:
    fake = FakeCluster()
    fake.podarium = False
    async with running(fake, owns_engine=False) as driver:
        assert "deploy/web" in driver.text()
        await goto(driver, "images")
        assert "This cluster knows no images" in driver.text()


async def test_numbers_move_with_each_tick() -> None:
    async with running() as driver:
        before = driver.text()
        driver.fake.tick()
        await driver.until(lambda: driver.app.cluster.book.time == driver.fake.now)
        await driver.settle()
        assert driver.text() != before


async def test_hostile_names_do_not_break_the_screen() -> None:
    fake = FakeCluster()
    evil = made_up.pod("evil", 1, made_up.WEB, {})
    evil["metadata"]["name"] = "\x1b[2Jevil\u202e[red]" + "x" * 100_000
    evil["status"]["message"] = "\x1b]0;title\x07" * 10
    fake.put("pods", evil)
    async with running(fake) as driver:
        await goto(driver, "pods")
        await driver.press("G", "g", "enter", "escape", "d")
        text = driver.text()
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text.splitlines()) == 36


async def test_themes_switch() -> None:
    async with running() as driver:
        seen = {driver.app.theme}
        for _ in range(2):
            await driver.press("T")
            seen.add(driver.app.theme)
        assert seen == {"podarium", "podarium-light", "podarium-contrast"}


async def test_nothing_is_collected_while_one_types(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[float] = []
    async with running() as driver:
        fake = driver.fake
        monkeypatch.setattr("tui.runtime.when_idle", lambda: collected.append(fake.now))
        for _ in range(3):
            fake.now += 4
            await driver.press("down")
            driver.app._collect_when_idle()
        assert not collected
        fake.now += 6
        driver.app._collect_when_idle()
        assert collected == [fake.now]


async def test_tab_goes_to_the_preview_and_back() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("tab")
        assert driver.screen.body.preview.has_focus
        key = driver.screen.table.key
        await driver.press("down")
        assert driver.screen.table.key == key
        await driver.press("tab")
        assert driver.screen.table.has_focus


async def test_keys_typed_at_once_reach_the_prompt_in_order() -> None:
    async with running() as driver:
        for key in (":", "p", "o", "d", "s"):
            driver.app.post_message(key_event(key))
        await driver.settle()
        assert driver.screen.prompt_line.open
        await driver.press("enter")
        assert driver.screen.place.kind == "pods"


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_leaving_from_anywhere_asks_too(key: str) -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press(key)
        assert "Leave cluster demo?" in driver.text()


async def test_matches_one_after_the_other() -> None:
    async with running(size=SMALL) as driver:
        await goto(driver, "pods /leak")
        await driver.press("y", "slash", *"leak", "enter")
        first = driver.screen.text.top
        await driver.press("n", "n", "n", "n", "n", "n", "n")
        assert driver.screen.text.top > first
        await driver.press("N", "N", "N", "N", "N", "N", "N")
        assert driver.screen.text.top == first


async def test_a_kind_one_may_not_list_says_so() -> None:
    fake = FakeCluster()
    fake.forbidden = {"secrets"}
    async with running(fake) as driver:
        await goto(driver, "secrets")
        await driver.until(lambda: "Cannot list secrets" in driver.text())
        assert "forbidden: not for you" in driver.text()


async def test_an_xray_shows_what_belongs_to_what_and_leads_there() -> None:
    async with running() as driver:
        await goto(driver, "pods /web")
        await driver.press("X")
        text = driver.text()
        assert "deployment web" in text
        assert "└─ replicaset web-6d4b75cb6d" in text
        assert text.count("├─ container web") == 3
        await driver.press("down", "down", "enter")
        assert driver.screen.place.view == "pod"
        await driver.press("escape", "d")
        assert driver.screen.place.view == "describe"
        assert driver.screen.place.kind == "pods"


async def test_an_xray_tells_what_is_named_and_does_not_exist() -> None:
    async with running() as driver:
        giant = copy.deepcopy(driver.fake.objects["pods"]["default/giant"])
        giant["spec"]["volumes"] = [{"name": "conf", "configMap": {"name": "gone"}}]
        driver.fake.put("pods", giant)
        await goto(driver, "pods /giant")
        await driver.press("X")
        await driver.until(lambda: "does not exist" in driver.text())
        row = next(row for row in driver.text().splitlines() if "configmap gone" in row)
        assert "volume conf" in row


async def test_who_waits_for_the_machine_says_so() -> None:
    async with running() as driver:
        await goto(driver, "pods /tq2ws")
        await driver.press("enter")
        row = next(row for row in driver.text().splitlines() if row.startswith(" waits"))
        assert row.split()[-5:] == ["of", "the", "last", "10", "s"]
        before = made_up.tick

        def pressed(t: float) -> dict[str, object]:
            tick = before(t)
            for sample in tick["containers"].values():
                sample["cpuPressure"] = 0.47
            return tick

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(made_up, "tick", pressed)
            driver.fake.tick()
            await driver.until(lambda: "47%" in driver.text())
