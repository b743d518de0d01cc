"""The page in use: what changes under it, what is asked of it, with the mouse and with the keyboard alone."""

from __future__ import annotations

import pytest

from lws_sched.api.core import NODE
from lws_sched.kube.clock import SystemClock
from lws_sched.web.leadership import Leader
from tests.browser.chromium import Browser
from tests.browser.served import TOKEN, served, served_with_token
from tests.controlplane.ports import free_port
from tests.unit.web.stage import Stage, a_set

pytestmark = pytest.mark.browser
HOSTS = ("rack-00-host-00", "rack-00-host-01")
_FOCUSED = "const at = document.activeElement; return at.id || at.textContent.trim()"
_WITHOUT_NAME = {"generic", "StaticText", "InlineTextBox", "none", "paragraph", "LineBreak", "ListMarker"}


def cluster() -> Stage:
    """One group runs, one waits."""
    stage = Stage(clock=SystemClock()).racks(2, 3).asked(a_set("llama")).asked(a_set("big", size=4))
    stage.recorded("llama-0", HOSTS, "Bound").bound("llama-0", 0, HOSTS[0]).bound("llama-0", 1, HOSTS[1])
    return stage.recorded("big-0", state="Waiting", reason="<b>rack-00</b> lacks 1 host", fix="add a host to rack-00")


# --- what is told -----------------------------------------------------------------------------------------------------
def test_what_changes_in_the_cluster_is_shown_and_told_without_a_reload(browser: Browser) -> None:
    stage = cluster()
    with served(stage.page) as where:
        browser.open(where)
        browser.until_text("#summary", "1 of 2\ngroups whole and bound")

        stage.recorded("big-0", (*(f"rack-01-host-0{number}" for number in range(3)), "rack-00-host-02"), "Reserved")

        browser.until_text("#waiting", "Nothing waits")
        browser.until_text("#announcer", "big-0 reserved")
        browser.click("#tab-timeline")
        browser.until_text("#timeline", "big-0 reserved\nin rack-01")


def test_a_group_that_waits_is_told_with_its_reason_and_fix_as_text(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")

        assert "<b>rack-00</b> lacks 1 host." in browser.text("#waiting")
        assert "Add a host to rack-00." in browser.text("#waiting")
        assert browser.text("#tab-waiting") == "Waiting1"


def test_a_group_that_is_chosen_is_shown_in_full(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.click("#tab-groups")
        browser.type("#find", "llama bound")
        browser.until(lambda: "big-0" not in browser.text("#group-list"))
        browser.click("#group-list button")

        browser.until_text("#details", "one rack per group")
        assert "llama-0-1" in browser.text("#details")
        browser.click("#details button[aria-label=Close]")
        assert browser.text("#details") == ""


def test_the_table_tells_what_the_map_shows(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#summary", "groups")
        browser.click("#as-table")

        rows = [row.text for row in browser.driver.find_elements("css selector", "#table-view tbody tr")]
        assert rows == ["rack-00 3 8 0 16 24 1 llama-0", "rack-01 3 24 0 0 24 3"]
        browser.click("#table-view tbody button")
        browser.until_text("#details", "rack-00-host-02 free 8")


def test_a_wider_level_can_be_chosen(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#level", "rack")
        browser.click("#as-table")
        browser.type("#level", "block")

        browser.until_text("#table-view", "block-00")


# --- what if ----------------------------------------------------------------------------------------------------------
def test_a_question_is_answered_beside_the_map_and_on_it(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#summary", "groups")
        browser.click("#tab-what-if")
        browser.click("#example")
        before = browser.js("return document.getElementById('map').toDataURL()")
        browser.click("#ask")

        browser.until_text("#answer", "1 of 2 groups have a place")
        assert "rack-01" in browser.text("#answer")
        assert browser.js("return document.getElementById('map').toDataURL()") != before


def test_a_manifest_that_cannot_be_read_is_refused_in_words(browser: Browser) -> None:
    browser.forgiven = "status of 400"
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#summary", "groups")
        browser.click("#tab-what-if")
        browser.type("#manifest", "kind: Pod")
        browser.click("#ask")

        browser.until_text("#answer", "The manifest has no LeaderWorkerSet")


# --- out of the ordinary ----------------------------------------------------------------------------------------------
def test_an_empty_cluster_says_what_will_be_there(browser: Browser) -> None:
    stage = Stage(clock=SystemClock())
    stage.missing = ("Node", "Pod")
    with served(stage.page) as where:
        browser.open(where)
        browser.until_text("#empty", "Reading the cluster\nStill listing Node, Pod.")

        stage.missing = ()
        browser.until_text("#empty", "This cluster has no nodes yet")
        stage.racks(1, 2)
        browser.until(lambda: browser.text("#empty") == "")
        assert "No groups yet" in browser.text("#waiting")


def test_without_a_leader_a_banner_says_so(browser: Browser) -> None:
    stage = cluster()
    stage.leader = Leader("nobody")
    with served(stage.page) as where:
        browser.open(where)
        browser.until_text("#banner", "No extender leads")

        stage.leader = Leader("leads", "extender-1")
        browser.until(lambda: browser.text("#banner") == "")
        assert browser.text("#leader") == "extender-1 leads"


def test_nodes_without_labels_are_shown_together_and_a_banner_says_what_to_do(browser: Browser) -> None:
    stage = Stage(clock=SystemClock())
    status = {"allocatable": {"cpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]}
    stage.put(NODE, {"metadata": {"name": "alone"}, "status": status})
    with served(stage.page) as where:
        browser.open(where)
        browser.until_text("#banner", "No node carries a topology label")

        browser.click("#as-table")
        browser.until_text("#table-view", "all hosts 1 8 0 0 8 1")


def test_a_server_that_does_not_answer_is_noticed_and_so_is_its_return(browser: Browser) -> None:
    stage, port = cluster(), free_port()
    with served(stage.page, port) as where:
        browser.open(where)
        browser.until_text("#live", "Live")
    browser.until_text("#banner", "No answer since")
    assert browser.text("#live") == "No answer"

    with served(stage.page, port):
        browser.until_text("#live", "Live")
        assert browser.text("#banner") == ""


# --- the door ---------------------------------------------------------------------------------------------------------
def test_signing_in_and_out(browser: Browser) -> None:
    browser.forgiven = "status of 401"
    with served_with_token(cluster().page) as where:
        browser.open(where)
        assert "Bearer token" in browser.text("main")
        browser.type("#token", "wrong")
        browser.press("ENTER")
        browser.until_text(".message", "this cluster does not know that token")

        browser.type("#token", TOKEN)
        browser.click("form button")
        browser.until_text("#summary", "groups")
        assert browser.js("return document.cookie") == ""

        browser.click("#sign-out button")
        browser.until_text("main", "Bearer token")


def test_who_is_signed_out_meanwhile_is_told_so(browser: Browser) -> None:
    browser.forgiven = "status of 401"
    with served_with_token(cluster().page) as where:
        browser.open(where)
        browser.type("#token", TOKEN)
        browser.click("form button")
        browser.until_text("#summary", "groups")

        browser.driver.delete_all_cookies()
        browser.until_text("#banner", "You are signed out")
        browser.click("#banner a")
        browser.until_text("main", "Bearer token")


def test_a_script_that_is_slipped_in_does_not_run(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.js("""
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken over'";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<b id=x onclick=\\"document.title='taken over'\\">x</b>");
            document.getElementById("x").click();
        """)
        said = browser.until(browser.complaints)

        browser.forgiven = "Content Security Policy"
        assert any(browser.forgiven in each for each in said)
        assert browser.js("return document.title") == "lws-sched"


# --- by keyboard, and for screen readers ------------------------------------------------------------------------------
def test_everything_is_reached_by_tab_in_the_order_in_which_it_is_read(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")

        order = []
        for _ in range(9):
            browser.press("TAB")
            order.append(browser.js(_FOCUSED))
        assert order[:6] == ["Skip the map", "theme", "level", "as-map", "as-table", "map"]
        assert order[6:] == ["tab-waiting", "waiting", "big-0"]


def test_the_map_is_walked_with_arrow_keys_and_told_host_by_host(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")
        browser.js("document.getElementById('map').focus()")
        browser.until_text("#announcer", "rack-00-host-00. members of a complete group: llama-0")

        browser.press("ARROW_RIGHT", "ARROW_RIGHT")
        browser.until_text("#announcer", "rack-00-host-02. free. 8 of 8 nvidia.com/gpu free. rack-00, host 3 of 3")
        browser.press("PAGE_DOWN")
        browser.until_text("#announcer", "rack-01-host-00")
        browser.press("ENTER")
        browser.until_text("#details h2", "rack-01-host-00")
        browser.press("ESCAPE")
        assert browser.text("#details") == ""


def test_tabs_are_chosen_with_arrow_keys(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")
        browser.js("document.getElementById('tab-waiting').focus()")

        for wanted in ("tab-timeline", "tab-groups", "tab-what-if", "tab-waiting"):
            browser.press("ARROW_RIGHT")
            assert browser.js(_FOCUSED) == wanted
            assert browser.js("return document.activeElement.ariaSelected") == "true"
        browser.press("END")
        assert "where would each group go" in browser.text("#what-if")


def test_every_control_and_region_has_a_name_and_every_table_its_headers(browser: Browser) -> None:
    with served(cluster().page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")
        for tab in ("timeline", "groups", "what-if"):
            browser.click(f"#tab-{tab}")
        browser.click("#tab-groups")
        browser.click("#as-table")
        browser.click("#group-list button")
        browser.until_text("#details", "one rack per group")

        tree = browser.accessible()
        nameless = [each for each in tree if each.get("focusable") and not each["name"]]
        assert [each for each in nameless if each["role"] not in _WITHOUT_NAME] == []
        roles = {each["role"] for each in tree}
        assert {"banner", "main", "complementary", "tablist", "tabpanel", "status", "table"} <= roles
        named = {each["name"] for each in tree if each["role"] in ("main", "complementary", "region", "tabpanel")}
        assert "Groups, decisions and what-if" in named
        assert browser.js("return document.querySelectorAll('table:not(:has(th[scope]))').length") == 0
        assert browser.js("return [...document.images].every((image) => image.hasAttribute('alt'))")
        assert browser.js("return document.documentElement.lang") == "en"
        headings = browser.js("return [...document.querySelectorAll('h1,h2,h3')].map((each) => each.tagName)")
        assert headings[0] == "H1"


def test_what_has_the_focus_keeps_it_while_the_cluster_changes(browser: Browser) -> None:
    stage = cluster()
    with served(stage.page) as where:
        browser.open(where)
        browser.until_text("#waiting", "big-0")
        browser.js("document.querySelector('#waiting button').focus()")

        stage.taken("rack-01-host-02")
        browser.until_text("#summary", "24 used")
        assert browser.js(_FOCUSED) == "big-0"
