"""Sources of a report: of the law, the data, the objective and the methods."""

from __future__ import annotations

import re
from typing import NamedTuple

from scalefit.documents.material import Material
from scalefit.inference.ensemble import Ensemble

__all__ = ["Reference", "bibtex", "references"]


class Reference(NamedTuple):
    """A source.

    Attributes:
        key: of a bibliography.
        what: what it is the source of.
        text: the source as it is cited.
        fields: of BibTeX; empty where only a text is known.
    """

    key: str
    what: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()


HUBER = Reference(
    "huber1964",
    "Huber loss",
    "P. J. Huber. Robust estimation of a location parameter. Annals of Mathematical Statistics "
    "35(1), 73-101, 1964.",
    (
        ("author", "Huber, Peter J."),
        ("title", "Robust Estimation of a Location Parameter"),
        ("journal", "Annals of Mathematical Statistics"),
        ("volume", "35"),
        ("number", "1"),
        ("pages", "73--101"),
        ("year", "1964"),
    ),
)
PROJECTION = Reference(
    "golub1973",
    "variable projection",
    "G. H. Golub and V. Pereyra. The differentiation of pseudo-inverses and nonlinear least "
    "squares problems whose variables separate. SIAM Journal on Numerical Analysis 10(2), "
    "413-432, 1973.",
    (
        ("author", "Golub, Gene H. and Pereyra, Victor"),
        (
            "title",
            "The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose "
            "Variables Separate",
        ),
        ("journal", "SIAM Journal on Numerical Analysis"),
        ("volume", "10"),
        ("number", "2"),
        ("pages", "413--432"),
        ("year", "1973"),
    ),
)
BOOTSTRAP = Reference(
    "efron1993",
    "bootstrap",
    "B. Efron and R. J. Tibshirani. An Introduction to the Bootstrap. Chapman and Hall, 1993.",
    (
        ("author", "Efron, Bradley and Tibshirani, Robert J."),
        ("title", "An Introduction to the Bootstrap"),
        ("publisher", "Chapman and Hall"),
        ("year", "1993"),
    ),
)
CHECKLIST = Reference(
    "li2025misfitting",
    "checklist of the methods",
    "M. Li, S. Kudugunta and L. Zettlemoyer. (Mis)Fitting: A survey of scaling laws. "
    "arXiv 2502.18969, 2025.",
    (
        ("author", "Li, Margaret and Kudugunta, Sneha and Zettlemoyer, Luke"),
        ("title", "{(Mis)Fitting}: A Survey of Scaling Laws"),
        ("eprint", "2502.18969"),
        ("archiveprefix", "arXiv"),
        ("year", "2025"),
    ),
)
APPROACHES = Reference(
    "hoffmann2022",
    "Approaches 2 and 3",
    "J. Hoffmann, S. Borgeaud, A. Mensch, et al. Training compute-optimal large language models. "
    "arXiv 2203.15556, 2022.",
    (
        ("author", "Hoffmann, Jordan and Borgeaud, Sebastian and Mensch, Arthur and others"),
        ("title", "Training Compute-Optimal Large Language Models"),
        ("eprint", "2203.15556"),
        ("archiveprefix", "arXiv"),
        ("year", "2022"),
    ),
)


def references(material: Material) -> tuple[Reference, ...]:
    """Sources of what the report holds, in the order of its sections."""
    fit = material.fit
    known = fit.provenance
    found: list[Reference] = []
    if material.published:
        where = ", ".join(filter(None, (known.get("source", ""), known.get("where", ""))))
        found.append(Reference("values", "values of the parameters", where))
    if fit.law.source:
        key = f"law_{re.sub(r'[^A-Za-z0-9]+', '', fit.law.name)}"
        found.append(Reference(key, f"law {fit.law.name}", fit.law.source))
    if "dataset" in known:
        source = f"{known['dataset']}, {known.get('dataset source', '')}"
        found.append(Reference("data", "data", source))
    if not material.published:
        found += [HUBER] if fit.objective.delta is not None else []
        found.append(PROJECTION)
    draws = [item for item in material.results if isinstance(item, Ensemble)]
    found += [BOOTSTRAP] if any(item.replicates is not None for item in draws) else []
    found += [APPROACHES] if material.of_room("approach2") else []
    return (*found, CHECKLIST)


def bibtex(found: tuple[Reference, ...]) -> str:
    """The sources as entries of BibTeX."""
    return "\n\n".join(map(_entry, found))


def _entry(one: Reference) -> str:
    names = dict(one.fields)
    kind = "article" if "journal" in names else "book" if "publisher" in names else "misc"
    fields = list(one.fields) or [("howpublished", _tame(one.text))]
    lines = [f"  {name} = {{{value}}}," for name, value in fields]
    return "\n".join([f"@{kind}{{{one.key},", *lines, f"  note = {{{_tame(one.what)}}},", "}"])


def _tame(text: str) -> str:
    """Text without what BibTeX or LaTeX would read as more than text."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\\r\n]", " ", text))
