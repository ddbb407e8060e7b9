"""What the ranking screen is compared with: the same task made of Streamlit's own buttons, as well as they allow.

Everything is in a fragment, so that a key runs these lines and no others; the task is kept in the session, so that only
a submission reads the store; keys are the buttons' own shortcuts; the last place fills itself, as on the screen. Left
out are ties, drafts, the resending of lost submissions and the safe rendering of model text.
"""

import secrets

import streamlit as st

from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import Task, next_tasks
from workbench.web.session import annotator, store

st.set_page_config("Plain", layout="wide")
me = annotator()


def place(number: int) -> None:
    """Place this completion next best, and the last one with the one before it."""
    order, count = st.session_state.order, len(st.session_state.task.completions)
    if number not in order:
        order.append(number)
    if len(order) == count - 1:
        order.extend(set(range(count)) - set(order))


def undo() -> None:
    """Take back all."""
    st.session_state.order = []


def send(task: Task) -> None:
    """Store the ranking and take the next task."""
    order = [[number] for number in st.session_state.order]
    submit(store(), Answer(task.token, secrets.token_hex(16), "ranked", order), me.id)
    st.session_state.saved += 1
    take()


def take() -> None:
    """Take the next task."""
    st.session_state.task = next_tasks(store(), me.id, count=1)[0]
    st.session_state.order = []


@st.fragment
def ranking() -> None:
    """Show the task and the order so far."""
    task, order = st.session_state.task, st.session_state.order
    st.container(key="prompt").markdown(task.prompt.messages[-1].content)
    for number, column in enumerate(st.columns(len(task.completions))):
        rank = f" · {order.index(number) + 1}." if number in order else ""
        column.button(
            f"{number + 1}{rank}", key=f"place-{number}", on_click=place, args=(number,), shortcut=str(number + 1)
        )
        column.markdown(task.completions[number].text)
    st.container(key="order").text(" > ".join(str(number + 1) for number in order) or "Nothing placed yet")
    st.button("Undo", key="undo", on_click=undo, shortcut="u")
    is_complete = len(order) == len(task.completions)
    st.button("Submit", key="submit", on_click=send, args=(task,), shortcut="Enter", disabled=not is_complete)
    st.container(key="saved").text(f"Saved {st.session_state.saved}")


if "task" not in st.session_state:
    st.session_state.saved = 0
    take()
ranking()
