"""Advice: each finding is named, the worst first, with its remedy."""

from __future__ import annotations

from pipeline.evaluation.advice import Advice, advice
from pipeline.training import diagnostics

RESULT = {
    "score": 0.1, "style_score": -0.2, "style_score_error": 0.05, "content_similarity": 0.3, "flatness": 0.9,
    "line_strength": 1.0, "input_difference": 1.0, "one_color": 0.5, "checkerboard": 3.0, "flicker": 9.0,
    "edges_invented": 0.5, "lightness_shift": 9.0, "red_shift": 0.0, "yellow_shift": -8.0, "color_shift": 9.0,
}  # fmt: skip
TABLE = {
    "photo": {"style_score": 0.0, "flatness": 0.6, "line_strength": -2.0},
    "result": RESULT,
    "<b>": {"style_score": 0.4, "style_score_error": 0.1, "score": 0.5},
    "film": {"style_score": 1.0, "flatness": 0.6, "line_strength": 9.0},
}
"""A result with everything wrong."""


def titles(findings: list[Advice]) -> str:
    return "; ".join(finding.title for finding in findings)


def test_everything_that_is_wrong_is_reported_the_worst_first() -> None:
    findings = advice(TABLE, 1, 9, {"diagnostics": "discriminator_won of_the_future"})
    levels = [finding.level for finding in findings]
    assert levels == sorted(levels, key=("bad", "caution", "good").index) and levels[0] == "bad"
    for part in (
        "almost the photo", "lost their colors", "grid", "flicker", "not like this film", "Little of the photo",
        "50% of the edges", "Colors shift (lightness +9.0, yellow -8.0)", "Fewer dark lines", "Few photographs: 1",
        "<b> has a better score",
    ):  # fmt: skip
        assert part in titles(findings), part
    problem = diagnostics.ADVICE["discriminator_won"].partition(": ")[0]
    assert f"Training ended with a warning: {problem}" in titles(findings)
    assert "shots" not in titles(findings) and "future" not in titles(findings)


def test_a_good_result_is_praised() -> None:
    findings = advice({**TABLE, "result": {**RESULT, "style_score": 0.6, "score": 0.7}}, 9, 9, {})
    assert "Moved towards the film's style (0.60)" in titles(findings) and "better score" not in titles(findings)


def test_more_lines_than_in_the_film_are_reported() -> None:
    table = {name: {**row, "line_strength": 0.0} for name, row in TABLE.items()}
    findings = advice({**table, "result": {**RESULT, "line_strength": 7.0}}, 9, 9, {})
    [lines] = [finding for finding in findings if finding.title == "More dark lines than in the film"]
    assert "lower loss.adversarial_weight" in lines.text


def test_a_better_baseline_within_the_error_is_not_reported() -> None:
    worse = {**TABLE["<b>"], "lead": -0.2, "lead_error": 0.1}
    assert "better score" not in titles(advice({**TABLE, "<b>": worse}, 9, 9, {}))


def test_what_training_added_counts_only_beyond_its_error() -> None:
    for gain, added in ((0.3, True), (0.15, False), (-0.3, False)):
        table = {**TABLE, "pretrained": {"lead": -gain, "lead_error": 0.1}}
        found = titles(advice(table, 9, 9, {}))
        assert ("Training added to what the generator" in found) == added
        assert ("Training added nothing" in found) == (not added)
    assert "Training added" not in titles(advice(TABLE, 9, 9, {}))
