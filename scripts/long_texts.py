"""Whether long texts are better cut or read in passages, by the V-measure of the shipped label sets.

    python scripts/long_texts.py            # about two minutes on two cores; prints a line for each set

The texts are short, so the model is given room for a third of their median length only. There are as many clusters as
labels.
"""

import warnings
from statistics import mean, median

from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score

from inbedder_utils import load_encoder
from inbedder_utils.data.own_sets import QUESTIONS, corpus


def v_measure(vectors, labels: list[str]) -> float:
    """Percent, the mean over three runs of k-means."""
    runs = [KMeans(len(set(labels)), n_init=3, random_state=seed).fit_predict(vectors) for seed in range(3)]
    return 100 * mean(v_measure_score(labels, run) for run in runs)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")  # that texts are cut is the point
    whole = load_encoder("mini", device="cpu")
    columns: dict[str, list[float]] = {"full": [], "cut": [], "passages": []}
    for domain, questions in QUESTIONS.items():
        table = corpus(domain)
        for label, question in questions.items():
            texts, labels = table["text"].tolist(), table[label].tolist()
            frame, *lengths = map(len, whole.prompt_tokenizer(["", *texts], [question] * (1 + len(texts))))
            room = {"max_length": frame + int(median(lengths) - frame) // 3}
            encoders = {
                "full": whole,
                "cut": load_encoder("mini", device="cpu", **room),
                "passages": load_encoder("mini", device="cpu", truncation="passages", **room),
            }
            for name, encoder in encoders.items():
                columns[name].append(v_measure(encoder.encode(texts, question, normalize_embeddings=True), labels))
            print(f"{domain} {label}", {name: round(values[-1], 1) for name, values in columns.items()}, flush=True)
    print("mean", {name: round(mean(values), 1) for name, values in columns.items()})


if __name__ == "__main__":
    main()
