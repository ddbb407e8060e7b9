"""What the project asks of its policies and its annotators."""

from dataclasses import asdict, fields

import streamlit as st

from label_data.projects import project_settings, save_settings
from label_data.records import FEWEST_COMPLETIONS, MOST_COMPLETIONS, InputError
from label_data.settings import PolicySettings, ProjectSettings
from workbench.jobs import keep_up
from workbench.session import store

st.title("Project")
current, revision = project_settings(store())
st.caption(f"Revision {revision}. Saving makes the next; each ranking keeps the revision it was made under.")

with st.form("project"):
    name = st.text_input("Name", current.name)
    guidelines = st.text_area("Guidelines for annotators", current.guidelines, height=140)
    left, middle, right = st.columns(3)
    per_prompt = left.number_input(
        "Completions per prompt", FEWEST_COMPLETIONS, MOST_COMPLETIONS, current.completions_per_prompt
    )
    annotators = middle.number_input("Annotators per prompt", 1, 100, current.annotators_per_prompt)
    ready_ahead = right.number_input("Prompts kept ready ahead", 1, 10_000, current.ready_ahead)
    flags = left.text_input("Flags", ", ".join(current.flags), help="What may be wrong with a completion; commas.")
    lease = middle.number_input("Minutes until an open task goes to another", 1, 1_440, current.lease_minutes)
    seed = right.number_input("Seed", 0, 2**31 - 1, current.seed)
    allow_partial = left.checkbox("Completions may stay unplaced", current.allow_partial)
    ask_strength = middle.checkbox("Ask how much better each is", current.ask_strength)
    ask_ratings = right.checkbox("Ask for a rating from 1 to 7 of each", current.ask_ratings)
    mark_spans = left.checkbox("Parts of a completion may be marked with the flags", current.mark_spans)
    demonstrations_join = middle.checkbox(
        "Answers that annotators write join the completions of others", current.demonstrations_join
    )
    reveal_policies = right.checkbox(
        "Tell after a ranking which policy wrote what",
        current.reveal_policies,
        help="Rankings that are changed afterwards are kept as assisted.",
    )
    st.markdown("**Policies**: the models to sample from; completions are dealt among them in turn.")
    table = st.data_editor(
        [asdict(policy) for policy in current.policies],
        num_rows="dynamic",
        column_config={
            "kind": st.column_config.SelectboxColumn(options=["transformers", "openai"], required=True),
            "model": st.column_config.TextColumn(help="packaged:…, a hub name, a folder, or the server's model name"),
            "base_url": st.column_config.TextColumn(help="openai only, for example http://127.0.0.1:8000/v1"),
            "key_name": st.column_config.TextColumn(help="openai only: environment variable that holds the key"),
        },
    )
    asked = st.form_submit_button("Save", type="primary")

if asked:
    known = {field.name for field in fields(PolicySettings)}
    try:
        policies = tuple(
            PolicySettings(**{key: value for key, value in row.items() if key in known and value is not None})
            for row in table
            if row.get("name")
        )
        settings = ProjectSettings(
            name=name,
            guidelines=guidelines,
            completions_per_prompt=per_prompt,
            policies=policies,
            seed=seed,
            ready_ahead=ready_ahead,
            annotators_per_prompt=annotators,
            lease_minutes=lease,
            flags=tuple(flag.strip() for flag in flags.split(",") if flag.strip()),
            allow_partial=allow_partial,
            ask_strength=ask_strength,
            ask_ratings=ask_ratings,
            mark_spans=mark_spans,
            demonstrations_join=demonstrations_join,
            reveal_policies=reveal_policies,
        )
        saved = save_settings(store(), settings)
    except InputError as error:
        st.error(str(error))
    else:
        keep_up(store())
        st.toast(f"Saved as revision {saved}.")
        st.rerun()
