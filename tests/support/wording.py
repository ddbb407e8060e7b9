"""The English wording of the pages, by key, so that a test need not change with a sentence."""

from workbench.wording import page_texts


def wording(key):
    """Return the wording of a key such as "rank.all_done", without its markup, up to its first value."""
    section, name = key.split(".")
    return page_texts("en")[section][name].partition("{")[0].strip(" *")
