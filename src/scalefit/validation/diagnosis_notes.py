"""Notes of a diagnosis: what is flagged, what is merged, what could not be fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.approach2.bias_variants import UNFLAGGED
from scalefit.errors import listed
from scalefit.notes import Note
from scalefit.reporting.numbers import chance, percent, shown
from scalefit.validation.diagnosis import OBJECTIVE, Diagnosis
from scalefit.validation.left_out_blocks import MOST_BLOCKS, Partition
from scalefit.validation.swings import LEAST_SWING

__all__ = ["diagnosis_notes"]


def diagnosis_notes(found: Diagnosis, cuts: Sequence[Partition]) -> list[Note]:
    """All notes of a diagnosis that are its own."""
    return [
        *_pattern_notes(found),
        *_trend_notes(found),
        *_block_notes(found),
        *_choice_notes(found),
        *_failure_notes(found),
        *_merged_notes(cuts),
    ]


def _pattern_notes(found: Diagnosis) -> list[Note]:
    """A note where the residuals follow a smooth surface."""
    pattern = found.pattern
    if not pattern.flagged:
        return []
    return [
        Note.of(
            "residual_pattern",
            f"a smooth surface explains {percent(pattern.share)} of the variance of the "
            f"residuals beyond the law ({chance(pattern.p)} for independent runs of a right law): "
            "this part is no noise, and intervals that take it for noise do not hold what the law "
            f"misses{_beside_verdict(found)}. Compare other laws on these runs, "
            "scalefit.compare(runs, [...]), or fit those nearest to the target",
            {"share": pattern.share, "terms": pattern.terms, "p": pattern.p},
        )
    ]


def _beside_verdict(found: Diagnosis) -> str:
    """Why the verdict of the fit may be good all the same."""
    verdict = found.fit.verdict
    if verdict.level != "good":
        return ""
    return (
        f" (the verdict of the fit is good for their size, {percent(verdict.spread)}, and as it "
        "looks along one column at a time: this surface bends along several)"
    )


def _trend_notes(found: Diagnosis) -> list[Note]:
    frame = found.trend_intervals()
    flagged = frame[frame["flagged"]]
    if not len(flagged):
        return []
    relative = found.fit.objective.residual != "raw"

    def size(value: float) -> str:
        return percent(value) if relative else f"{value:.3g}"

    trends = [
        f"{row['term']} along {row['column']}: {size(row['value'])} per {row['unit']}"
        f"{' squared' * (row['term'] != 'slope')} (95 %: {size(row['low'])} to "
        f"{size(row['high'])}), {size(abs(row['change']))} over the runs"
        for _, row in flagged.iterrows()
    ]
    return [
        Note.of(
            "residual_trend",
            f"the residuals have a trend that the law does not describe: {'; '.join(trends)}. "
            "Beyond the runs it goes on. Fit a law with a further term, or fit the runs nearest "
            "to the target",
            {
                f"{row['column']} {row['term']}": float(row["value"])
                for _, row in flagged.iterrows()
            },
        )
    ]


def _block_notes(found: Diagnosis) -> list[Note]:
    """One note of all blocks that move the answer more than noise does."""
    frame = found.left_out[found.left_out["flagged"]]
    if not len(frame):
        return []
    frame = frame.loc[frame["swing"].abs().sort_values(ascending=False).index]
    each = [
        f"{row['by']} = {row['block']} ({row['runs']} runs): "
        f"{100 * float(np.expm1(row['swing'])):+.3g} % +- {100 * row['expected']:.2g} %"
        for _, row in frame.iterrows()
    ]
    return [
        Note.of(
            "influential_block",
            f"{found.target.called} changes by more than noise explains without "
            f"{listed(each)} (after +-, the standard error of such a change if the law is "
            "right, to first order): these runs and the others do not agree on one law. Check "
            "them, or report the answer with and without them",
            {
                "blocks": [f"{row['by']} = {row['block']}" for _, row in frame.iterrows()],
                "swings": frame["swing"].tolist(),
                "expected": frame["expected"].tolist(),
            },
        )
    ]


def _choice_notes(found: Diagnosis) -> list[Note]:
    """Notes where another objective, or flagged runs, lead outside the interval."""
    low, high = found.interval() if found.draws else (np.nan, np.nan)
    frame, notes = found.objectives, []
    rows = found.to_frame()
    kinds = {OBJECTIVE: "objective_decides", UNFLAGGED: "quality_decides"}
    for name, code in kinds.items():
        if name not in rows.index:
            continue
        row = rows.loc[[name]].iloc[0]
        what, change = str(row["what"]), float(row["change"])
        answer = float(found.answer * np.exp(change))
        if not abs(change) > LEAST_SWING or not (answer < low or answer > high):
            continue
        cell = shown(answer, found.target.kind)
        ends = shown(found.answer, found.target.kind, low, high)
        if name == OBJECTIVE:
            said = f"by {what} {found.target.called} is {cell.value}, outside the interval"
            remedy = "Report the range: see objectives"
            details = {str(k): float(v) for k, v in frame[found.target.first].items()}
        else:
            said = f"without {what} {found.target.called} is {cell.value}, "
            said += "outside the interval"
            remedy = "Check these runs, or report both: see residuals"
            details = {"answer": answer, "runs": int(found.residuals["flagged"].sum())}
        notes.append(Note.of(code, f"{said} of the fit ({ends.interval}). {remedy}", details))
    return notes


def _failure_notes(found: Diagnosis) -> list[Note]:
    """A note of the blocks, and one of the objectives, without which there is no answer."""
    frame, notes = found.left_out, []
    failed = frame[frame["failure"] != ""]
    if len(failed):
        each = "; ".join(
            f"{row['by']} = {row['block']} ({row['failure']})" for _, row in failed.iterrows()
        )
        notes.append(
            Note.of(
                "block_needed",
                f"without {len(failed)} of {len(frame)} blocks there is no answer: {each}",
                {"blocks": [f"{row['by']} = {row['block']}" for _, row in failed.iterrows()]},
            )
        )
    for name, failure in found.objectives["failure"].items():
        if failure:
            message = f"{name!r} has no answer here: {failure}"
            notes.append(Note.of("variant_failed", message, {"variant": str(name)}))
    return notes


def _merged_notes(cuts: Sequence[Partition]) -> list[Note]:
    """A note where neighbouring values were joined into blocks."""
    return [
        Note.of(
            "blocks_joined",
            f"the runs have {cut.distinct} values of {cut.by}: neighbours are left out together, "
            f"in {len(cut.names)} blocks of about as many runs (at most {MOST_BLOCKS}). A column "
            "of blocks of your own is named by by=",
            {"by": cut.by, "values": cut.distinct, "blocks": len(cut.names)},
        )
        for cut in cuts
        if cut.distinct > len(cut.names)
    ]
