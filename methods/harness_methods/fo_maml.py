"""First-order MAML: Finn, Abbeel & Levine 2017 (arXiv 1703.03400), section 5.2."""

from dataclasses import dataclass

from harness_methods.maml import MAML


@dataclass(frozen=True, kw_only=True)
class FOMAML(MAML):
    """MAML without second derivatives: the outer gradient is that of the query loss at the adapted weights."""

    name: str = "fo_maml"
    first_order: bool = True
