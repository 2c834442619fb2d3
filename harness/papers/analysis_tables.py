"""What Raghu et al. 2020 publish beside accuracies: how alike networks and layers are, and how much faster ANIL is."""

from harness.papers.tables import MINI, PaperTable, Setting

COMMAND = (
    f"{MINI} --set 'Experiment.methods = [@MAML(), @ANIL(), @NIL()]' --set 'Experiment.probes = [@Similarity()]' "
    "--set 'Experiment.across = @AcrossTrainings()'"
)
COST = "about 580 h of one core for all twelve trainings"

SPEED_TOLERANCE = 0.3
"""Of a speed-up, in multiples of MAML's speed."""

CCA, CKA, TRAINING, INFERENCE = "cca", "cka", "training_speedup", "inference_speedup"
"""`quantity` of `published_numbers`; similarities are in hundredths."""

WHERE = (
    "Of which data set, ways and shots the published numbers are was not read: they stand beside miniImageNet, whose "
    "1-shot and 5-shot trainings count together"
)


def _setting(label: str, quantity: str) -> Setting:
    source = "miniimagenet"
    return Setting(
        label=label, trained_on=source, source=source, command=COMMAND, cost=COST, quantity=quantity
    )


LAYERS = PaperTable(
    title="Raghu et al. 2020: MAML's layers before and after adaptation, similarity in hundredths",
    papers=("anil_paper",),
    methods=tuple((f"maml {layer}", layer) for layer in ("conv1", "conv2", "conv3", "conv4", "head")),
    settings=(_setting("miniImageNet, CCA", CCA), _setting("miniImageNet, CKA", CKA)),
    note="the probe Similarity: mean over test episodes of mean CCA and of the debiased CKA. The paper has them "
    f"as a figure only; where its text gives a bound, the verdict is whether the whole interval keeps it. {WHERE}",
)

NETWORKS = PaperTable(
    title="Raghu et al. 2020: networks of different seeds, similarity averaged over the body, in hundredths",
    papers=("anil_paper",),
    methods=(
        ("maml and maml", "MAML and MAML"),
        ("anil and anil", "ANIL and ANIL"),
        ("anil and maml", "ANIL and MAML"),
    ),
    settings=(_setting("miniImageNet, CCA", CCA), _setting("miniImageNet, CKA", CKA)),
    note="Experiment.across: mean CCA and debiased CKA of unadapted networks on test images; mean over layers and "
    "pairs of seeds, the interval by a jackknife over seeds, of which it needs three, ± the deviation over pairs. "
    "That the paper's CKA is debiased "
    f"is not said. {WHERE}",
)

SPEED = PaperTable(
    title="Raghu et al. 2020: how many times as fast as MAML",
    papers=("anil_paper",),
    methods=(("anil", "ANIL"), ("nil", "NIL")),
    settings=(
        _setting("miniImageNet, training", TRAINING),
        _setting("miniImageNet, inference", INFERENCE),
    ),
    tolerance=SPEED_TOLERANCE,
    note="MAML's seconds over those of the method, of an update (with its share of validation) and of a test episode, "
    "seed by seed, within an experiment and one kind of machine; true where the runs had the machine alike, as with "
    f"--workers 1. Tolerance {SPEED_TOLERANCE:g}. Published: means, on other hardware, by other code; of NIL none was "
    f"published. {WHERE}",
)

ANALYSIS_TABLES = (LAYERS, NETWORKS, SPEED)
