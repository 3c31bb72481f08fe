"""Where public sets of labelled texts come from: local copies, the hub, or their authors' repositories."""

import csv
import io
import re
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from huggingface_hub import constants as hub_constants

from inbedder_utils.checks import first_line
from inbedder_utils.data.hub import HubSet, read_hub

Row = dict[str, Any]
FIX = "; without a network, put a copy under $INBEDDER_DATA/qa"
ENTITY = re.compile(r"\[(\w+) : ([^]]+)\]")


@dataclass(frozen=True)
class LabelSource:
    """A public set of labelled texts.

    Attributes:
        home: its id on the hub, or the address of a file at a commit.
        read: what makes rows, in the columns of a local copy, of what is there.
        licence: as its authors give it.
    """

    home: str | HubSet
    read: Callable[[Any], Iterator[Row]]
    licence: str

    def rows(self, name: str) -> Iterator[Row]:
        """Read the set from its home; an OSError says why it can't be reached."""
        if isinstance(self.home, HubSet):
            yield from self.read(read_hub(self.home, f"data set {self.home.hub!r}", FIX))
            return
        try:
            if hub_constants.HF_HUB_OFFLINE:
                raise OSError("the hub's client is offline")
            with urllib.request.urlopen(self.home, timeout=60) as file:
                content = file.read()
        except OSError as error:
            raise OSError(f"data set {name!r} can't be loaded from {self.home} ({first_line(error)}){FIX}") from error
        yield from self.read(content)


def _banking77(rows: Any) -> Iterator[Row]:
    label = rows.features["label"]
    for row in rows:
        yield {"text": row["text"], "label": label.int2str(row["label"]).replace("_", " ")}


def _goemotions(rows: Any) -> Iterator[Row]:
    names = rows.features["labels"].feature.names
    for row in rows:
        if len(row["labels"]) == 1:
            yield {"text": row["text"], "label": names[row["labels"][0]]}


def _vader(content: bytes) -> Iterator[Row]:
    types = {"movieReview": "film review", "amazonReview": "product review", "tweets": "tweet"}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for start, text_type in types.items():
            stem = f"{start}Snippets" if start != "tweets" else start
            file = archive.extractfile(f"hutto_ICWSM_2014/{stem}_GroundTruth.txt")
            for line in file.read().decode("utf-8", "replace").splitlines():
                _, rating, text = line.split("\t", 2)
                yield {"text": text.replace("''", "'").strip(), "rating": float(rating), "type": text_type}


def _mams(content: bytes) -> Iterator[Row]:
    for sentence in ElementTree.fromstring(content).iter("sentence"):
        aspects = {part.get("category"): part.get("polarity") for part in sentence.iter("aspectCategory")}
        yield {"text": sentence.findtext("text"), "aspects": aspects}


def _hwu64(content: bytes) -> Iterator[Row]:
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"):
        annotated = row["answer_annotation"].strip()
        if annotated and annotated != "null" and not row.get("status", "").startswith("IRR"):
            found = ENTITY.findall(annotated)
            names = [name for name, _ in found]
            entities = {name: value.strip() if names.count(name) == 1 else "" for name, value in found}
            text = ENTITY.sub(lambda entity: entity[2].strip(), annotated)
            yield {"text": text, "scenario": row["scenario"], "intent": row["intent"], "entities": entities}


def _github(repository: str, commit: str, path: str) -> str:
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"


LABEL_SOURCES = {
    "banking77": LabelSource(HubSet("PolyAI/banking77", split="train"), _banking77, "CC BY 4.0"),
    "goemotions": LabelSource(
        HubSet("google-research-datasets/go_emotions", config="simplified", split="train"), _goemotions, "Apache-2.0"
    ),
    "hwu64": LabelSource(
        _github(
            "xliuhw/NLU-Evaluation-Data",
            "f6071b496b17d71e6eb43f543af0707f4ff30557",
            "AnnotatedData/NLU-Data-Home-Domain-Annotated-All.csv",
        ),
        _hwu64,
        "CC BY 4.0",
    ),
    "mams": LabelSource(
        _github("siat-nlp/MAMS-for-ABSA", "cddcdb0f423b3fdb2c76b70744737abed3a00d17", "data/MAMS-ACSA/raw/train.xml"),
        _mams,
        "Apache-2.0",
    ),
    "vader": LabelSource(
        _github(
            "cjhutto/vaderSentiment",
            "44fc044cd877310ee8278a0eadf34bcd50d41d06",
            "additional_resources/hutto_ICWSM_2014.tar.gz",
        ),
        _vader,
        "MIT",
    ),
}
"""Public sets of labels by name, those outside the hub at the commit that was read."""
