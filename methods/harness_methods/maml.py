"""MAML: Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning" (arXiv 1703.03400), algorithm 2."""

from dataclasses import dataclass

from harness.inner_loop_method import InnerLoopMethod


@dataclass(frozen=True, kw_only=True)
class MAML(InnerLoopMethod):
    """Adapt every layer to the support set; learn the initialisation through the adaptation.

    `first_order=True` is the paper's first-order approximation (section 5.2).
    """

    name: str = "maml"
