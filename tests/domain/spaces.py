"""Search space documents for property tests: valid ones by construction, and ones bent out of shape."""

import copy

from hypothesis import strategies as st

Entry = dict[str, object]
Document = list[Entry]

TEXTS = st.sampled_from(["adam", "a/b", "x=1", "50%", "p|q", "", " ", "ä", "😀", "-", "--x", "None"])
SMALL_VALUES = st.one_of(TEXTS, st.integers(2, 50), st.floats(0.5, 1.5, exclude_min=True, exclude_max=True))
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**30, 10**400, -1, 0, 1, 1e301, 2.0, 2.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["float", "log", "fixed", "scientific", "a\n", "x" * 101, "x" * 201, "\x00", "\ud800"]),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(), max_size=2), max_size=2),
)
HOSTILE = st.recursive(
    st.one_of(
        JUNK,
        st.floats(),
        st.binary(max_size=3),
        st.integers(10**4299, 10**4301),
        st.just(object()),
        st.complex_numbers(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["name", "type", "low", "high", "choices", "when", "value", "scale", "role"]),
                st.text(max_size=3),
                st.integers(),
                st.none(),
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=15,
)


def text_of(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else repr(value)
    return text.replace("%", "%25").replace("/", "%2F").replace("|", "%7C").replace("=", "%3D")


@st.composite
def entries(draw: st.DrawFn, name: str) -> Entry:
    kind = draw(st.sampled_from(["float", "integer", "categorical", "boolean", "fixed"]))
    entry: Entry = {"name": name, "type": kind}
    if kind in ("float", "integer"):
        scale = draw(st.sampled_from(["linear", "log"]))
        if kind == "integer":
            low = draw(st.integers(1 if scale == "log" else -(10**12), 10**12 - 1))
            high: float = draw(
                st.integers(low + 1, min(low + draw(st.sampled_from([3, 100, 10**12])), 10**12))
            )
            entry |= {"low": low, "high": high}
        else:
            bottom = draw(st.floats(1e-300 if scale == "log" else -1e300, 1e299))
            gap = draw(st.floats(1e-3, 1e3)) * max(abs(bottom), 1e-290)
            entry |= {"low": bottom, "high": min(bottom + gap, 1e300)}
        entry["scale"] = scale
    elif kind == "categorical":
        entry["choices"] = draw(st.lists(SMALL_VALUES, min_size=1, max_size=5, unique_by=text_of))
    elif kind == "fixed":
        entry["value"] = draw(st.one_of(SMALL_VALUES, st.booleans()))
    if kind != "fixed":
        entry["role"] = draw(st.sampled_from(["scientific", "nuisance"]))
    return entry


def values_of(entry: Entry) -> list[object]:
    """The values that a condition may ask for."""
    match entry["type"]:
        case "categorical":
            assert isinstance(entry["choices"], list)
            return list(entry["choices"])
        case "boolean":
            return [False, True]
        case "integer":
            assert isinstance(entry["low"], int)
            return [entry["low"], entry["low"] + 1]
        case "fixed":
            return [entry["value"]]
    return []


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> Document:
    """Trees of conditions: below one parent, groups of children that exclude each other share their names."""
    found: Document = []

    def grow(entry: Entry, key: str, left: int) -> None:
        found.append(entry)
        values = draw(st.permutations(values_of(entry))) if left else []
        cut = draw(st.integers(0, len(values)))
        for group in (values[:cut], values[cut:]):
            if not group:
                continue
            for number in range(draw(st.integers(0, 2))):
                child = draw(entries(f"{entry['name']}.{number}"[-100:]))
                child["when"] = {key: group}
                grow(child, f"{key}={'|'.join(map(text_of, group))}/{child['name']}", left - 1)

    for number in range(draw(st.integers(1, 3))):
        name = f"p{number}"
        grow(draw(entries(name)), name, depth)
    return found


@st.composite
def bent_documents(draw: st.DrawFn) -> object:
    """A valid document with a few places changed, removed or added."""
    document = copy.deepcopy(draw(documents()))
    for _ in range(draw(st.integers(0, 2))):
        entry = draw(st.sampled_from(document))
        keys = ["name", "type", "low", "high", "scale", "role", "choices", "value", "when", "odd"]
        key = draw(st.sampled_from(keys))
        if draw(st.booleans()):
            entry.pop(key, None)
        else:
            entry[key] = draw(JUNK)
    if draw(st.integers(0, 20)) == 0:
        return draw(JUNK)
    return document
