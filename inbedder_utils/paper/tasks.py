"""The paper's tasks, and how they are scored."""

AWARENESS = ("IntentEmotion", "InstructSTSB", "NYTClustering")
GENERIC = ("AskUbuntu", "SciDocs", "StackOverflow", "TwentyNewsgroups")
USER_SETS = ("RateMyProf", "Feedbacks", "FewRel", "FewNerd", "FewEvent")
"""The tasks of the paper's tests of awareness, its generic ones, and its corpora clustered for a user."""
PAPER_MEASURES = ("success", "spearman", "map", "v_measure_minibatch")
"""What the published scores are; `v_measure`, of k-means with several starts, is steadier and not the same."""
CELL = ["model", "pooling", "layer", "task", "part"]
"""The columns that say what a score is of."""
