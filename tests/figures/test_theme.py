import re

from tunebook_frontend import static_folder
from tunebook_server.figures import theme
from tunebook_server.figures.figure import Figure, resolved

TOKENS = (static_folder / "css" / "tokens.css").read_text()


def test_pages_and_figures_name_the_same_colours() -> None:
    declared = re.findall(r"--(figure-[a-z0-9-]+): light-dark\((#\w+), (#\w+)\);", TOKENS)
    assert {name: light for name, light, _ in declared} == theme.LIGHT
    assert {name: dark for name, _, dark in declared} == theme.DARK


def test_page_ground_and_figure_ground_are_one_surface() -> None:
    assert re.search(r"--ground: light-dark\(#ffffff, #14171d\)", TOKENS)
    assert (theme.LIGHT["figure-ground"], theme.DARK["figure-ground"]) == ("#ffffff", "#14171d")


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(color: str, ground: str) -> float:
    lighter, darker = sorted((luminance(color), luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_marks_and_text_stand_out_from_their_ground() -> None:
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for graphics that carry meaning (1.4.11)."""
    for palette in theme.PALETTES.values():
        ground = palette["figure-ground"]
        for role in ("text", "muted"):
            assert contrast(palette[f"figure-{role}"], ground) >= 4.5, role
        for name in ("figure-feasible", "figure-infeasible", "figure-top", "figure-best", *theme.SERIES):
            assert contrast(palette[name], ground) >= 3, name


def test_page_text_stands_out_in_both_themes() -> None:
    pairs = {
        name: (light, dark)
        for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#\w+), (#\w+)\)", TOKENS)
    }
    for theme_place in (0, 1):
        for name in ("text", "muted", "accent", "good", "bad", "warn"):
            for ground in ("ground", "panel", "hover"):
                assert contrast(pairs[name][theme_place], pairs[ground][theme_place]) >= 4.5, (name, ground)


def test_only_colour_properties_are_resolved() -> None:
    """A choice that is called like a variable stays text."""
    figure = Figure([{"name": "var(--figure-top)", "marker": {"color": "var(--figure-top)"}}], {})
    document = resolved(figure.document(), theme.DARK)
    assert document["data"][0] == {"name": "var(--figure-top)", "marker": {"color": "#4cc38a"}}
