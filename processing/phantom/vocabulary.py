"""The WordPiece vocabulary of the phantom's reports, wording A alone, which the demo's BERT reads with.

    python -m pedclip.processing.phantom.vocabulary processing/phantom/tokenizer

writes it again; it is shipped, so nobody has to. Letters are in it too, so a word that it lacks is spelt, not unknown.
"""

import argparse
import string
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import BertTokenizer

from .study import studies_of

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = 1536
PATIENTS = 2000
LONGEST = 128


def learn(patients: int = PATIENTS, words: int = WORDS) -> BertTokenizer:
    """A BERT tokenizer whose words are those of the reports of so many phantom patients."""
    texts = (study.report.text for number in range(patients) for study in studies_of(1, number))
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    letters = list(string.ascii_lowercase + string.digits + string.punctuation)
    trainer = WordPieceTrainer(
        vocab_size=words, special_tokens=SPECIAL, initial_alphabet=letters, min_frequency=3, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    known = tokenizer.get_vocab()
    # the trainer lists a letter only where a word begins with it
    pieces = sorted(known, key=known.__getitem__) + [f"##{one}" for one in letters if f"##{one}" not in known]
    return BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=True, model_max_length=LONGEST
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write")
    out = parser.parse_args().out
    tokenizer = learn()
    tokenizer.save_pretrained(out)
    print(f"{len(tokenizer)} pieces in {out}")


if __name__ == "__main__":
    main()
