"""Published laws, one family per file, in one explicit list.

:func:`table` lists them all; :func:`find` returns one by name; :func:`search` finds them by words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalefit.arguments import refused, shown, text
from scalefit.errors import LawError
from scalefit.frozen import Frozen
from scalefit.laws.additive import chinchilla as chinchilla
from scalefit.laws.additive import chinchilla_d as chinchilla_d
from scalefit.laws.additive import chinchilla_n as chinchilla_n
from scalefit.laws.additive import chinchilla_nonembedding as chinchilla_nonembedding
from scalefit.laws.additive import chinchilla_outer as chinchilla_outer
from scalefit.laws.additive import chinchilla_overtrained as chinchilla_overtrained
from scalefit.laws.additive import chinchilla_tied as chinchilla_tied
from scalefit.laws.base import Law as Law
from scalefit.laws.base import law as law
from scalefit.laws.bits import low_precision as low_precision
from scalefit.laws.bits import precision as precision
from scalefit.laws.bits import ptq_excess as ptq_excess
from scalefit.laws.bits import unified_precision as unified_precision
from scalefit.laws.broken import broken_power as broken_power
from scalefit.laws.broken import broken_power_twice as broken_power_twice
from scalefit.laws.data_limited import data_constrained as data_constrained
from scalefit.laws.data_limited import repeated_epochs as repeated_epochs
from scalefit.laws.data_limited import repeated_tokens as repeated_tokens
from scalefit.laws.data_limited import repetition_penalty as repetition_penalty
from scalefit.laws.data_limited import saturating_epochs as saturating_epochs
from scalefit.laws.distilled import distillation as distillation
from scalefit.laws.distilled import distillation_limit as distillation_limit
from scalefit.laws.downstream import accuracy_of_compute as accuracy_of_compute
from scalefit.laws.downstream import accuracy_of_loss as accuracy_of_loss
from scalefit.laws.downstream import accuracy_of_scale as accuracy_of_scale
from scalefit.laws.downstream import accuracy_of_size as accuracy_of_size
from scalefit.laws.downstream import bleu_of_data as bleu_of_data
from scalefit.laws.downstream import error_of_loss as error_of_loss
from scalefit.laws.drifting import farseer as farseer
from scalefit.laws.experts import efficiency_leverage as efficiency_leverage
from scalefit.laws.experts import fine_grained_moe as fine_grained_moe
from scalefit.laws.experts import joint_moe as joint_moe
from scalefit.laws.experts import routed as routed
from scalefit.laws.filtering import quality_quantity_tradeoff as quality_quantity_tradeoff
from scalefit.laws.finetuning import rectified_finetuning as rectified_finetuning
from scalefit.laws.floorless import kaplan as kaplan
from scalefit.laws.floorless import kaplan_steps as kaplan_steps
from scalefit.laws.formats import effective_parameters as effective_parameters
from scalefit.laws.formats import effective_parameters_and_tokens as effective_parameters_and_tokens
from scalefit.laws.formats import float_quantized as float_quantized
from scalefit.laws.formats import optimal_qat_share as optimal_qat_share
from scalefit.laws.formats import qat as qat
from scalefit.laws.formats import qat_excess as qat_excess
from scalefit.laws.formats import quartet as quartet
from scalefit.laws.hyperparameters import optimal_batch_size as optimal_batch_size
from scalefit.laws.hyperparameters import optimal_learning_rate as optimal_learning_rate
from scalefit.laws.hyperparameters import surge_learning_rate as surge_learning_rate
from scalefit.laws.hyperparameters import tokens_of_batch as tokens_of_batch
from scalefit.laws.kinds import Amplitude as Amplitude
from scalefit.laws.kinds import Bounds as Bounds
from scalefit.laws.kinds import By as By
from scalefit.laws.kinds import Coefficient as Coefficient
from scalefit.laws.kinds import Domain as Domain
from scalefit.laws.kinds import Exponent as Exponent
from scalefit.laws.kinds import Fraction as Fraction
from scalefit.laws.kinds import Kind as Kind
from scalefit.laws.kinds import NotNegative as NotNegative
from scalefit.laws.kinds import Offset as Offset
from scalefit.laws.kinds import OneOrMore as OneOrMore
from scalefit.laws.kinds import Positive as Positive
from scalefit.laws.kinds import Share as Share
from scalefit.laws.kinds import scale_of as scale_of
from scalefit.laws.kinds import slope_of as slope_of
from scalefit.laws.law_table import LawTable as LawTable
from scalefit.laws.mixture import additive_mixture as additive_mixture
from scalefit.laws.mixture import additive_mixture_of as additive_mixture_of
from scalefit.laws.mixture import data_mixture as data_mixture
from scalefit.laws.mixture import joint_mixture_of as joint_mixture_of
from scalefit.laws.mixture import mixture_of as mixture_of
from scalefit.laws.parallel import parscale as parscale
from scalefit.laws.powers import logarithmic as logarithmic
from scalefit.laws.powers import logarithmic_sum as logarithmic_sum
from scalefit.laws.powers import power as power
from scalefit.laws.powers import power_offset as power_offset
from scalefit.laws.powers import shifted_power as shifted_power
from scalefit.laws.powers import signed_power as signed_power
from scalefit.laws.powers import signed_power_offset as signed_power_offset
from scalefit.laws.powers import stretched_exponential as stretched_exponential
from scalefit.laws.products import power_product as power_product
from scalefit.laws.rate_and_batch import loss_bowl as loss_bowl
from scalefit.laws.rate_and_batch import posynomial_bowl as posynomial_bowl
from scalefit.laws.reinforcement import overoptimization_best_of_n as overoptimization_best_of_n
from scalefit.laws.reinforcement import overoptimization_rl as overoptimization_rl
from scalefit.laws.reinforcement import reward_of_compute as reward_of_compute
from scalefit.laws.relations import Relation as Relation
from scalefit.laws.sampling import coverage_beta as coverage_beta
from scalefit.laws.sampling import coverage_of_compute as coverage_of_compute
from scalefit.laws.sampling import coverage_power as coverage_power
from scalefit.laws.sampling import train_to_test as train_to_test
from scalefit.laws.schedules import annealing as annealing
from scalefit.laws.schedules import multi_power as multi_power
from scalefit.laws.schedules import schedule_columns as schedule_columns
from scalefit.laws.shape import architecture_product as architecture_product
from scalefit.laws.shape import architecture_sum as architecture_sum
from scalefit.laws.shape import aspect_ratio as aspect_ratio
from scalefit.laws.shape import shape_dimension as shape_dimension
from scalefit.laws.shape import width_depth as width_depth
from scalefit.laws.shape import width_depth_size as width_depth_size
from scalefit.laws.signature import Param as Param
from scalefit.laws.sparsity import compressed as compressed
from scalefit.laws.sparsity import moe_sparsity as moe_sparsity
from scalefit.laws.sparsity import weight_sparsity as weight_sparsity
from scalefit.laws.transfer import loss_to_loss as loss_to_loss
from scalefit.laws.verifiers import Resampled as Resampled
from scalefit.laws.verifiers import best_attempts as best_attempts
from scalefit.laws.verifiers import resampled as resampled
from scalefit.laws.verifiers import verified_coverage as verified_coverage
from scalefit.laws.verifiers import verified_sampling as verified_sampling
from scalefit.laws.vocabularies import tokens_of_characters as tokens_of_characters
from scalefit.laws.vocabularies import vocabulary as vocabulary
from scalefit.laws.vocabularies import vocabulary_logarithmic as vocabulary_logarithmic

# Every law that has a name, by family. A new one is listed here and nowhere else.
FAMILIES: Mapping[str, tuple[Law, ...]] = Frozen(
    {
        "additive": (
            chinchilla,
            chinchilla_tied,
            chinchilla_n,
            chinchilla_d,
            chinchilla_overtrained,
            chinchilla_nonembedding,
            chinchilla_outer,
        ),
        "power": (
            power,
            power_offset,
            shifted_power,
            signed_power,
            signed_power_offset,
            logarithmic,
            logarithmic_sum,
            stretched_exponential,
            power_product,
        ),
        "broken": (broken_power, broken_power_twice),
        "without a floor": (kaplan, kaplan_steps),
        "drifting": (farseer,),
        "limited data": (
            repeated_tokens,
            data_constrained,
            repeated_epochs,
            quality_quantity_tradeoff,
            repetition_penalty,
            saturating_epochs,
        ),
        "low precision": (
            low_precision,
            precision,
            ptq_excess,
            unified_precision,
            effective_parameters,
            effective_parameters_and_tokens,
            quartet,
            qat,
            qat_excess,
            optimal_qat_share,
            float_quantized,
        ),
        "routed": (routed, joint_moe, fine_grained_moe, efficiency_leverage),
        "sparse": (moe_sparsity, weight_sparsity, compressed),
        "parallel": (parscale,),
        "vocabulary": (vocabulary, vocabulary_logarithmic),
        "distillation": (distillation, distillation_limit),
        "fine-tuning": (rectified_finetuning,),
        "transfer": (loss_to_loss,),
        "mixture": (data_mixture, additive_mixture),
        "downstream": (
            error_of_loss,
            accuracy_of_loss,
            accuracy_of_scale,
            accuracy_of_compute,
            accuracy_of_size,
            bleu_of_data,
        ),
        "repeated sampling": (
            coverage_power,
            coverage_beta,
            coverage_of_compute,
            train_to_test,
            verified_sampling,
        ),
        "reinforcement learning": (
            reward_of_compute,
            overoptimization_best_of_n,
            overoptimization_rl,
        ),
        "learning-rate schedule": (annealing,),
        "hyperparameters": (
            optimal_learning_rate,
            optimal_batch_size,
            surge_learning_rate,
            tokens_of_batch,
            loss_bowl,
            posynomial_bowl,
        ),
        "shape": (
            aspect_ratio,
            architecture_product,
            architecture_sum,
            width_depth,
            width_depth_size,
            shape_dimension,
        ),
    }
)

BUILTIN: Mapping[str, Law] = Frozen(
    {item.name: item for family in FAMILIES.values() for item in family}
)


def table() -> LawTable:
    """All built-in laws, in the order of their families; ``table().to_frame()`` is a DataFrame.

    Example:
        >>> from scalefit import laws
        >>> found = laws.table().to_frame().set_index("name")
        >>> found.loc["chinchilla", ["columns", "parameters"]].to_list()
        ['N, D', 'E, A, B, alpha, beta']
    """
    return LawTable(FAMILIES)


def search(words: str) -> LawTable:
    """The built-in laws whose documentation holds every one of the words, in any case.

    Small words and hyphens do not count. Where no law holds all, those that hold the most of them.

    Args:
        words: text: of a name, a paper, an arXiv number, a column or a use, as ``"visual tokens"``.

    Returns:
        The laws, in the order of :func:`table`; none where no law has half of the words.

    Raises:
        ArgumentError: ``words`` is no text, or an empty one.

    Example:
        >>> from scalefit import laws
        >>> [law.name for law in laws.search("BLEU against fine-tuning data")]
        ['bleu_of_data']
    """
    return table().matching(text(words, "words", remedy="Give words, as search('learning rate')"))


def find(law: Any) -> Law:
    """The law itself, or the built-in law of that name.

    Args:
        law: a law, its name, or the beginning of another name of it (``also_known_as`` of
            :func:`table`), or the arXiv number there, that no other law has.

    Raises:
        LawError: no built-in law has that name, several have it, or it is a function that is no
            law yet.
        ArgumentError: it is neither a law nor a name.
    """
    if isinstance(law, Law):
        return law
    if isinstance(law, str) and (named := table().named(law)):
        return named
    if callable(law) and not isinstance(law, type):
        raise LawError(
            f"{getattr(law, '__name__', law)!r} is a plain function. Decorate it with "
            "@scalefit.law so that its columns and parameters are known"
        )
    if not isinstance(law, str):
        remedy = "Pass the name of a built-in law, as law='chinchilla', or one of @scalefit.law"
        raise refused("law", law, "a law", remedy)
    known = table().known_as(law) if law.strip() else ()
    if len(known) > 1:
        names = ", ".join(item.name for item in known)
        raise LawError(
            f"{shown(law)} is another name of several laws: {names}. Name one of these; "
            "scalefit.laws.table() says what each is for"
        )
    for item in known:
        return item
    raise LawError(f"no built-in law is called {shown(law)}. {table().instead_of(law)}")
