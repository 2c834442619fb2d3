"""The tables of the papers, in their own shape: which methods, which settings, and what makes each cell here."""

from dataclasses import dataclass

from harness.extras import install_command
from harness.published_numbers import PAPERS

WHOLE_PAPER = "about 640 h of one core for all twelve trainings"
WHOLE_MINI = "about 1,000 h of one core for all 36 trainings"
OMNIGLOT, MINI = (
    "harness run gin/paper_omniglot.gin --data DIR",
    "harness run gin/paper_miniimagenet.gin --data DIR",
)
SHORT_OMNIGLOT = "harness run gin/baselines.gin --data DIR"
SHORT_COST = "about 2 h of one core, at 1,000 updates"
SHORT_MINI = "harness run gin/baselines_miniimagenet.gin --data DIR"
SHORT_MINI_ONE = (
    f"""{SHORT_MINI} --set "five/Regime.name = 'miniimagenet_1shot'" --set 'five/EpisodeShape.n_shot = 1'"""
)
SHORT_MINI_COST = "about 1 h of one core, at 600 updates"
META = "harness run gin/metadataset_baselines.gin --data DIR"
NAVIGATION = "harness run gin/navigation_paper.gin"
NAVIGATION_COST = "about 2.5 h of one core for all six trainings"
CHEETAH_COST = f"about 18 h of one core for all six trainings; needs {install_command('rl')}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A column: what was trained on and tested on.

    n_way, shots: None where they vary, or mean nothing. quantity: as in `published_numbers`; empty for accuracies and
    returns. command: what fills the column, empty where nothing can.
    cost: of the command, or why there is none. horizon: of returns, the steps of a trajectory that they are sums over.
    """

    label: str
    trained_on: str
    source: str
    n_way: int | None = None
    shots: int | None = None
    quantity: str = ""
    horizon: int | None = None
    command: str
    cost: str


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A published table. methods: names here, and names in the paper; papers: keys of published_numbers.PAPERS.

    tolerance: where it has one of its own. note: how its numbers are measured here; empty where the page says it.
    """

    title: str
    papers: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    settings: tuple[Setting, ...]
    tolerance: float | None = None
    note: str = ""


def _few_shot(
    label: str, source: str, n_way: int, shots: tuple[int, ...], command: str, cost: str
) -> tuple[Setting, ...]:
    return tuple(
        Setting(
            label=f"{label}, {n_way}-way {k}-shot",
            trained_on=source,
            source=source,
            n_way=n_way,
            shots=k,
            command=command,
            cost=cost,
        )
        for k in shots
    )


def _return(label: str, source: str, horizon: int, command: str, cost: str) -> Setting:
    return Setting(label=label, trained_on=source, source=source, horizon=horizon, command=command, cost=cost)


def _sources(trained_on: str, command: str, cost: str) -> tuple[Setting, ...]:
    names = (
        "ilsvrc_2012",
        "omniglot",
        "aircraft",
        "cu_birds",
        "dtd",
        "quickdraw",
        "fungi",
        "vgg_flower",
        "traffic_sign",
        "mscoco",
    )
    return tuple(
        Setting(label=name, trained_on=trained_on, source=name, command=command, cost=cost) for name in names
    )


OWN_PAPERS = tuple(paper for paper in PAPERS if paper not in ("meta_dataset", "anil_paper"))

OWN_METHODS = (
    ("maml", "MAML"),
    ("fo_maml", "first-order MAML"),
    ("boil", "BOIL"),
    ("maml_pp", "MAML++"),
    ("meta_sgd", "Meta-SGD"),
    ("imaml", "iMAML"),
    ("reptile", "Reptile"),
    ("proto_net", "ProtoNet"),
    ("matching_net", "Matching Networks"),
    ("matching_net_fce", "Matching Networks, full context"),
    ("relation_net", "Relation Network"),
    ("r2d2", "R2-D2"),
    ("baseline", "Baseline"),
    ("baseline_pp", "Baseline++"),
    ("finetune", "Finetune"),
    ("knn", "k-NN"),
)

META_METHODS = (
    ("knn", "k-NN"),
    ("finetune", "Finetune"),
    ("matching_net", "MatchingNet"),
    ("proto_net", "ProtoNet"),
    ("fo_maml", "fo-MAML"),
    ("relation_net", "RelationNet"),
    ("fo_proto_maml", "fo-Proto-MAML"),
)

RETURNS = PaperTable(
    title="Raghu et al. 2020: reinforcement learning, mean return",
    papers=("anil_paper",),
    methods=(("maml", "MAML"), ("anil", "ANIL")),
    settings=(
        _return(
            "HalfCheetah-Direction",
            "halfcheetah_direction",
            200,
            "harness run gin/halfcheetah_direction.gin",
            CHEETAH_COST,
        ),
        _return(
            "HalfCheetah-Velocity",
            "halfcheetah_velocity",
            200,
            "harness run gin/halfcheetah_velocity.gin",
            CHEETAH_COST,
        ),
        _return("2D-Navigation", "navigation2d", 100, NAVIGATION, NAVIGATION_COST),
    ),
    note="Returns are sums over trajectories, and compared at equal horizons only: 100 steps of 2D-Navigation, and 200 "
    "of HalfCheetah, which the paper does not say but its numbers do: to stand still brings -1 a step of "
    "HalfCheetah-Velocity on average, so that over 100 steps both published returns would be worse than that",
)
"""What policies get after adaptation, see `papers.returns`; every other table is of accuracies."""

PAPER_TABLES = (
    PaperTable(
        title="Raghu et al. 2020: MAML, ANIL and NIL",
        papers=("anil_paper",),
        methods=(("maml", "MAML"), ("anil", "ANIL"), ("nil", "NIL")),
        settings=(
            *_few_shot("Omniglot", "omniglot", 20, (1, 5), OMNIGLOT, WHOLE_PAPER),
            *_few_shot("miniImageNet", "miniimagenet", 5, (1, 5), MINI, WHOLE_MINI),
        ),
    ),
    PaperTable(
        title="Raghu et al. 2020: MAML with its body frozen at test",
        papers=("anil_paper",),
        methods=(("maml", "nothing frozen"), ("maml_body_frozen", "all four convolutional layers frozen")),
        settings=_few_shot("miniImageNet", "miniimagenet", 5, (1, 5), MINI, WHOLE_MINI),
    ),
    RETURNS,
    PaperTable(
        title="Raghu et al. 2020: the read-out of NIL on networks trained in other ways",
        papers=("anil_paper",),
        methods=(
            ("nil_of_maml", "MAML"),
            ("nil", "ANIL"),
            ("multiclass", "Multiclass"),
            ("multitask", "Multitask"),
            ("random_features", "Random features"),
            ("nil_training", "NIL training"),
        ),
        settings=_few_shot("miniImageNet", "miniimagenet", 5, (1, 5), MINI, WHOLE_MINI),
    ),
    PaperTable(
        title="The methods' own papers",
        papers=OWN_PAPERS,
        methods=OWN_METHODS,
        settings=(
            *_few_shot("Omniglot", "omniglot", 5, (1, 5), SHORT_OMNIGLOT, SHORT_COST),
            *_few_shot("miniImageNet", "miniimagenet", 5, (1,), SHORT_MINI_ONE, SHORT_MINI_COST),
            *_few_shot("miniImageNet", "miniimagenet", 5, (5,), SHORT_MINI, SHORT_MINI_COST),
        ),
    ),
    PaperTable(
        title="Meta-Dataset's leaderboard, trained on ImageNet alone",
        papers=("meta_dataset",),
        methods=META_METHODS,
        settings=_sources("imagenet_only", META, "more than 1,000 h of one core"),
    ),
    PaperTable(
        title="Meta-Dataset's leaderboard, trained on all sources",
        papers=("meta_dataset",),
        methods=META_METHODS,
        settings=_sources(
            "all_sources",
            f"{META} --set 'TRAINED_ON = %all_sources'",
            "more than 1,000 h of one core",
        ),
    ),
)
