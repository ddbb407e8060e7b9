"""The ranking screen in a real Chromium: what an annotator does, and what the store then holds."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from browser import PATIENCE, free_port, open_ranking, ranking_server
from hostile_texts import HOSTILE
from label_data.errors import InputError
from label_data.records import Completion, Message, Prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.projects import save_settings
from label_data.store.samples import save_samples
from label_data.store.stored_groups import groups
from ranking_steps import (
    POLICY,
    TEXTS,
    fill,
    press,
    rankings,
    select,
    shown,
    store_at,
    submit_and_wait,
    the_ranking,
    tray,
)
from workbench.ranker.component import answer_from

NAME_IN_FOCUS = """() => {
    let at = document.activeElement;
    while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const of = at.closest("[aria-label]");
    return [of?.ariaLabel, at.innerText?.trim()].filter(Boolean).join(" ");
}"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def test_a_ranking_with_a_tie_is_made_from_the_keyboard_alone(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    texts = shown(page)
    press(page, "3", "1", "t", "4")
    assert tray(page) == "3›1=4›2"
    submit_and_wait(page)
    order, ranking, flags, seen = the_ranking(path)
    assert order == [[texts[2]], sorted([texts[0], texts[3]]), [texts[1]]]
    assert (ranking.outcome, flags, ranking.strength, ranking.reason) == ("ranked", {}, (), "")
    assert seen == texts
    assert 0 <= ranking.seconds < 60


def test_the_last_rank_is_filled_automatically_and_its_number_then_does_nothing(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    press(page, "2", "1", "4")
    assert tray(page) == "2›1›4›3"
    press(page, "3")
    assert tray(page) == "2›1›4›3"
    press(page, "1")  # removed, and with it the automatic one
    assert tray(page).rstrip("›") == "2›4"
    press(page, "u")
    assert tray(page) == "2›1›4›3"


def test_two_to_nine_completions_are_ranked_in_one_sitting(page, server, path):
    texts = [f"Answer {place}." for place in range(1, 10)]
    for count in (2, 9, 5):
        fill(path, f"Of {count}?", count=count, texts=texts)
    open_ranking(page, server, path)
    best_last = []
    for count in (2, 9, 5):
        expect(page.locator(".card")).to_have_count(count)
        best_last.append([[text] for text in shown(page)[::-1]])
        press(page, *map(str, range(count, 1, -1)))  # the first on the screen fills the last place
        assert tray(page) == "›".join(map(str, range(count, 0, -1)))
        submit_and_wait(page)
    assert [order for order, *_ in rankings(path)] == best_last


def test_the_tab_key_follows_the_reading_order_and_every_stop_has_a_name(page, server, path):
    """First the completions, then their order, then its buttons: the order in which a screen reader reads them."""
    fill(path, count=2)
    open_ranking(page, server, path)
    press(page, "1", "2")
    page.locator(".ranker").focus()
    stops = []
    while not stops or "Submit" not in stops[-1]:
        page.keyboard.press("Tab")
        stops.append(" ".join(page.evaluate(NAME_IN_FOCUS).split()))
        assert len(stops) < 40, stops
    assert stops == [
        *(
            f"Ranking {view}"
            for view in ("Guidelines H", "Plain text P", "Compare texts D", "One at a time Z", "Keys ?")
        ),
        "Remove completion 1 (1st) from the ranking 1",
        "Flag completion 1 Flag",
        "Remove completion 2 (2nd) from the ranking 2",
        "Flag completion 2 Flag",
        "Ranking",  # why, in one's own words; its label is beside it
        *(f"Instead of a ranking {words}" for words in ("Write an answer E", "Can’t tell =", "All bad B", "Skip S")),
        "Completion 1, 1st. Arrow keys move it, T ties it. 1",
        "Completion 2, 2nd, placed automatically. Arrow keys move it, T ties it. 2",
        *(f"Ranking {words}" for words in ("Tie T", "Undo U", "Submit Enter")),
    ]


@pytest.mark.parametrize("keys", [("1", "t"), ("2", "t", "1")])
def test_two_completions_can_be_tied(page, server, path, keys):
    fill(path, count=2)
    open_ranking(page, server, path)
    press(page, *keys)
    submit_and_wait(page)
    assert the_ranking(path)[0] == [sorted(TEXTS[:2])]


def test_an_incomplete_ranking_is_not_submitted(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    expect(page.locator(".submit")).to_be_disabled()
    press(page, "1", "2", "Enter")
    expect(page.locator(".saving")).to_have_text("Place every completion first.")
    assert page.evaluate("sessionStorage.getItem('workbench.unsent')") is None
    press(page, "3")
    expect(page.locator(".submit")).to_be_enabled()
    assert rankings(path) == []


def test_a_project_may_allow_partial_rankings(page, server, path):
    fill(path, allow_partial=True)
    open_ranking(page, server, path)
    texts = shown(page)
    press(page, "4", "2")
    submit_and_wait(page)
    order, ranking, _, _ = the_ranking(path)
    assert order == [[texts[3]], [texts[1]]]
    assert len(ranking.unranked) == 2


def test_a_ranking_is_made_with_the_mouse_alone(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    texts = shown(page)
    cards, chip = page.locator(".card .text"), page.locator(".chip")
    select(page, cards.nth(0))  # to select text is not to choose
    expect(chip).to_have_count(0)
    for place in (0, 1, 1, 2, 1):  # the second click on a card takes it back
        cards.nth(place).click()
    assert tray(page) == "1›3›2›4"
    chip.nth(3).drag_to(chip.nth(0))  # onto another: tied with it
    assert tray(page) == "1=4›3›2"
    chip.nth(3).drag_to(chip.nth(2), target_position={"x": -6, "y": 20}, force=True)  # before another
    assert tray(page) == "1=4›2›3"
    page.get_by_role("button", name="Undo").click()
    assert tray(page) == "1=4›3›2"
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".saving")).to_have_text("Saved")
    assert the_ranking(path)[0] == [sorted([texts[0], texts[3]]), [texts[2]], [texts[1]]]


def test_chips_move_by_arrow_keys_and_tie_by_t(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    press(page, "1", "2", "3")
    page.locator(".chip").nth(2).focus()
    press(page, "ArrowLeft", "ArrowLeft")
    assert tray(page) == "3›1›2›4"
    expect(page.locator(".chip").nth(0)).to_be_focused()
    press(page, "ArrowRight", "t")
    assert tray(page) == "1=3›2›4"
    press(page, "t")
    assert tray(page) == "1›3›2›4"


@pytest.mark.parametrize(
    ("keys", "outcome", "reason"),
    [
        (("b",), "all_bad", ""),
        (("1", "="), "indistinguishable", ""),
        (("s", "2"), "skipped", "The prompt makes no sense"),
    ],
)
def test_an_annotator_can_give_another_outcome_than_a_ranking(page, server, path, keys, outcome, reason):
    fill(path)
    open_ranking(page, server, path)
    press(page, *keys)
    submit_and_wait(page)
    order, ranking, _, _ = the_ranking(path)
    assert (order, ranking.outcome, ranking.reason) == ([], outcome, reason)


def test_flags_strength_and_a_reason_go_with_the_ranking(page, server, path):
    """With K = 3 the keys 2 and 1 place all: strength is asked between 2 and 1, and between 1 and 3."""
    fill(path, count=3, ask_strength=True, flags=("untrue", "unkind"))
    open_ranking(page, server, path)
    texts = shown(page)
    press(page, "2", "x", "1", "g", "g", "f", "n", "f", "3", "u", "w")
    page.keyboard.type("1 is rude, 3 is false")  # digits in the text place nothing
    press(page, "Escape")
    assert tray(page) == "2clearly ›1›3"
    submit_and_wait(page)
    order, ranking, flags, _ = the_ranking(path)
    assert order == [[texts[1]], [texts[0]], [texts[2]]]
    assert ranking.strength == (2, None)
    assert flags == {texts[1]: ["unacceptable"], texts[0]: ["unkind"], texts[2]: ["untrue"]}
    assert ranking.reason == "1 is rude, 3 is false"


def test_the_next_prompt_appears_at_once_and_a_double_enter_gives_one_ranking(page, server, path):
    fill(path, "First?", "Second?", "Third?")
    open_ranking(page, server, path)
    press(page, "1", "2", "3", "Enter", "Enter")
    assert page.locator(".prompt .text").inner_text() == "Second?"  # read at once, waiting for nothing
    press(page, "4")  # and a ranking that is under way when the server answers stays
    expect(page.locator(".live")).to_have_text("Completion 4 is 1st.")
    page.wait_for_function("sessionStorage.getItem('workbench.unsent') === null")
    assert tray(page).rstrip("›") == "4"
    assert len(rankings(path)) == 1
    press(page, "3", "2")
    submit_and_wait(page)
    expect(page.locator(".prompt .text")).to_have_text("Third?")
    assert len(rankings(path)) == 2


def test_a_reload_keeps_the_draft(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    texts = shown(page)
    press(page, "3", "1", "t", "2", "w")
    page.keyboard.type("half done")
    page.reload()
    expect(page.locator(".chip")).to_have_count(4)
    assert tray(page) == "3›1=2›4"
    assert shown(page) == texts
    expect(page.locator(".reason textarea")).to_have_value("half done")


class Line:
    """The websocket between page and server, which can be cut in either direction: what is sent then is lost."""

    def __init__(self, page):
        self.to_server = self.to_page = True
        self.answers = 0
        page.route_web_socket("**/_stcore/stream", self.route)

    def route(self, socket):
        server = socket.connect_to_server()
        socket.on_message(lambda message: self.sent(server, message))
        server.on_message(lambda message: self.to_page and socket.send(message))

    def sent(self, server, message):
        self.answers += b"submission" in bytes(message)
        if self.to_server:
            server.send(message)


@pytest.mark.parametrize("lost", ["the answer", "the acknowledgement"])
def test_lost_messages_are_sent_again_and_stored_once(page, server, path, lost):
    fill(path, "First?", "Second?")
    line = Line(page)
    open_ranking(page, server, path)
    line.to_server, line.to_page = lost != "the answer", lost != "the acknowledgement"
    press(page, "1", "2", "3", "Enter")
    expect(page.locator(".saving")).to_have_text("Not saved yet, retrying")
    press(page, "2", "3", "4", "Enter")  # one prompt ahead and no more
    expect(page.locator(".saving")).to_contain_text("Still saving the last ranking")
    assert page.locator(".prompt .text").inner_text() == "Second?"
    line.to_server = line.to_page = True
    expect(page.get_by_text("Every prompt is ranked.")).to_be_visible()  # the one that waited followed by itself
    assert [len(order) for order, *_ in rankings(path)] == [4, 4]


def test_retries_become_rarer_with_a_slow_server(page, server, path):
    """Each message stops the server's work on the one before. In 8 s by the page's clock: at 0, 2 and 2 + 4 s."""
    page.add_init_script("window.clock = 1; performance.now = () => clock;")
    fill(path, "First?", "Second?")
    line = Line(page)
    open_ranking(page, server, path)
    line.to_server, line.answers = False, 0
    press(page, "1", "2", "3", "Enter")
    for sent in (2, 2, 3, 3):
        page.evaluate("clock += 2000; new Promise((looked) => setTimeout(looked, 500))")  # it looks every 250 ms
        until = time.monotonic() + PATIENCE
        while line.answers < sent and time.monotonic() < until:
            page.wait_for_timeout(50)
        assert line.answers == sent


def test_killing_the_server_loses_no_ranking(page, path, tmp_path):
    fill(path, "First?", "Second?")
    port, log = free_port(), tmp_path / "log"
    with ranking_server(port, log) as address:
        open_ranking(page, address, path)
    press(page, "1", "2", "3", "Enter", "4")
    expect(page.locator(".saving")).to_have_text("Not saved yet, retrying")
    assert rankings(path) == []
    with ranking_server(port, log):
        expect(page.locator(".saving")).to_have_text("Saved", timeout=60_000)  # Streamlit waits longer at each attempt
        assert page.locator(".prompt .text").inner_text() == "Second?"
        assert tray(page).rstrip("›") == "4"
    assert len(rankings(path)) == 1


def test_a_refusal_is_shown_and_the_ranking_can_be_corrected(page, server, path):
    fill(path, "First?", "Second?", allow_partial=True)
    open_ranking(page, server, path)
    press(page, "3", "1")
    with store_at(path) as store:
        save_settings(store, ProjectSettings(allow_partial=False))
    press(page, "Enter")
    expect(page.locator(".problem")).to_contain_text("Not placed: 2 of 4 completions")
    assert page.locator(".prompt .text").inner_text() == "First?"
    assert tray(page).rstrip("›") == "3›1"
    press(page, "4")
    submit_and_wait(page)
    expect(page.locator(".problem")).to_be_hidden()
    assert [len(order) for order, *_ in rankings(path)] == [4]


def test_a_pause_counts_for_one_minute_at_most(page, server, path):
    """Ten minutes pass without a sign of the person: one of them counts, and the moments that the test itself takes."""
    page.add_init_script(
        "const real = performance.now.bind(performance); window.later = 0; performance.now = () => real() + later;"
    )
    fill(path)
    open_ranking(page, server, path)
    press(page, "1")
    page.evaluate("window.later = 600e3")
    press(page, "2", "3")
    submit_and_wait(page)
    assert 60 <= the_ranking(path)[1].seconds < 120


def test_nothing_sent_to_the_page_reveals_policies(page, server, path):
    fill(path, "First?", "Second?")
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    open_ranking(page, server, path)
    press(page, "1", "2", "3")
    submit_and_wait(page)
    sent = b"".join(frame if isinstance(frame, bytes) else frame.encode() for frame in received)
    assert TEXTS[0].encode() in sent
    with store_at(path) as store:
        ids = [completion.id for group in groups(store) for completion in group.completions]
        prompts = [group.prompt.id for group in groups(store)]
    for secret in [POLICY, "revision-7", "sampling", "seed", *ids, *prompts]:
        assert secret.encode() not in sent
        assert secret not in page.content()


def test_a_conversation_is_a_chat_with_its_system_prompt_folded(page, server, path):
    turns = ("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi, **what** now?"), ("user", "Why is it blue?")
    fill(path, Prompt(tuple(Message(*turn) for turn in turns)))
    open_ranking(page, server, path)
    assert page.locator(".message .role").all_inner_texts() == ["User", "Assistant", "User"]
    expect(page.get_by_text("Be brief.")).to_be_hidden()
    page.get_by_text("System prompt").click()
    expect(page.get_by_text("Be brief.")).to_be_visible()
    expect(page.locator(".message strong")).to_have_text("what")
    press(page, "p")
    expect(page.locator(".message.assistant .text")).to_have_text("Hi, **what** now?")


def test_the_help_lists_the_keys_and_no_key_ranks_while_it_is_open(page, server, path):
    fill(path)
    open_ranking(page, server, path)
    press(page, "?")
    expect(page.locator("dialog")).to_contain_text("Place that completion next")
    press(page, "1", "2", "3", "Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(page.locator(".chip")).to_have_count(0)
    press(page, "h")
    expect(page.locator(".guidelines")).to_contain_text("helps the user most")
    press(page, "Control+1", "Alt+1")
    expect(page.locator(".chip")).to_have_count(0)


def test_on_a_phone_everything_fits_and_can_be_touched(browser, server, path):
    fill(path, ask_strength=True)
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    open_ranking(phone, server, path)
    for place in (1, 0, 3):
        phone.locator(".card .text").nth(place).tap()
    assert tray(phone) == "2›1›4›3"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [button.bounding_box() for button in phone.locator(".ranker button").all() if button.is_visible()]
    assert len(boxes) > 15
    assert min(min(box["width"], box["height"]) for box in boxes) >= 44
    assert max(box["x"] + box["width"] for box in boxes) <= 390
    phone.get_by_role("button", name="Submit").tap()
    expect(phone.locator(".saving")).to_have_text("Saved")
    context.close()
    assert len(rankings(path)) == 1


@pytest.fixture
def beacon():
    """A server that hostile text tries to reach: its address, and the paths that were asked of it."""
    request = []

    class Beacon(BaseHTTPRequestHandler):
        def do_GET(self):
            request.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Beacon) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", request
        listening.shutdown()
        thread.join()


def test_hostile_texts_run_no_script_and_reach_no_server(page, server, path, beacon):
    address, request = beacon
    texts = [text.replace("BEACON", address) for text in HOSTILE]
    everything = "\n\n".join(texts)
    prompt = Prompt((Message("system", everything), Message("user", everything)))
    with store_at(path) as store:
        save_settings(store, ProjectSettings(guidelines=everything, completions_per_prompt=9))
        add_prompts(store, [prompt])
        thirds = ["\n\n".join(texts[start::8]) for start in range(8)]
        save_samples(store, prompt, [Completion(prompt.id, text) for text in [everything, *thirds]])
    open_ranking(page, server, path)
    press(page, "h")
    expect(page.locator(".card")).to_have_count(9)
    expect(page.locator(".guidelines")).to_be_visible()
    assert (
        page.locator(".ranker").locator("img, svg, iframe, object, video, audio, .text script, .text form").count() == 0
    )
    expect(page.locator(".submit")).to_have_count(1)
    press(page, "p", "1")
    assert page.evaluate("window.hacked") is None
    page.evaluate("address => fetch(address, {mode: 'no-cors'})", f"{address}/the-test-itself")
    assert request == ["/the-test-itself"]


GOOD = {
    "token": "t",
    "submission": "s",
    "outcome": "ranked",
    "order": [[0], [2, 1]],
    "strength": [None],
    "flags": {"1": ["untrue"], "2": []},
    "why": 0,
    "reason": "",
    "seconds": 3,
    "revises": None,
    "ratings": {"0": 7},
    "spans": [{"place": 1, "start": 0, "end": 3, "kind": "untrue"}],
    "demonstration": "Mine.",
    "edited_from": 2,
    "holds": ["t", "next"],
}


def test_the_browsers_message_becomes_an_answer():
    answer = answer_from(json.loads(json.dumps(GOOD)))
    assert (answer.token, answer.submission, answer.outcome, answer.seconds) == ("t", "s", "ranked", 3.0)
    assert (answer.order, answer.strength, answer.flags) == ([[0], [2, 1]], [None], {1: ["untrue"]})
    assert (answer.ratings, answer.spans) == ({0: 7}, [(1, 0, 3, "untrue")])
    assert (answer.demonstration, answer.edited_from) == ("Mine.", 2)


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": 7},
        {"submission": ""},
        {"submission": "s" * 201},
        {"outcome": "best"},
        {"outcome": ["ranked"]},
        {"order": [0, 1]},
        {"order": [[]]},
        {"order": [[True], [0]]},
        {"order": [[9]]},
        {"order": [[-1]]},
        {"order": [["0"]]},
        {"order": "01"},
        {"strength": [0]},
        {"strength": [True]},
        {"strength": None},
        {"flags": {"9": ["untrue"]}},
        {"flags": {"²": ["untrue"]}},
        {"flags": {"1": "untrue"}},
        {"flags": {"1": ["x" * 41]}},
        {"flags": []},
        {"reason": None},
        {"reason": "half of a pair \ud800"},
        {"reason": "x" * 10_001},
        {"why": 1},
        {"why": 7, "outcome": "skipped"},
        {"why": 0, "outcome": "skipped"},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": True},
        {"seconds": "3"},
        {"ratings": {"0": 8}},
        {"ratings": {"0": True}},
        {"ratings": {"9": 1}},
        {"ratings": []},
        {"spans": [{"place": 1, "start": 0, "end": 3}]},
        {"spans": [{"place": 9, "start": 0, "end": 3, "kind": "untrue"}]},
        {"spans": [{"place": 1, "start": 0.5, "end": 3, "kind": "untrue"}]},
        {"spans": [{"place": 1, "start": 0, "end": 3, "kind": ""}]},
        {"spans": [["place", 1]]},
        {"spans": GOOD["spans"] * 501},
        {"demonstration": None},
        {"demonstration": "", "edited_from": 2},
        {"edited_from": 9},
        {"revises": ""},
        {"revises": 7},
        {"policy": "mine"},
        {"holds": None},
        {"holds": ["t"] * 51},
        {"holds": [["t"]]},
        {"holds": ["t" * 201]},
    ],
)
def test_an_invalid_message_is_refused(change):
    with pytest.raises(InputError):
        answer_from(GOOD | change)


@pytest.mark.parametrize("value", [None, [], "answer", {}, {key: GOOD[key] for key in GOOD if key != "reason"}])
def test_a_message_with_missing_fields_is_refused(value):
    with pytest.raises(InputError, match="Reload the page"):
        answer_from(value)
