"""Write the table of shipped models into docs/models.md, from the cards beside the model files.

python benchmarks/model_cards.py
"""

import json
from pathlib import Path

from readme import fill

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Replace what stands between the markers."""
    rows = [
        "| model | images | data | file | networks, MACs | rate, bits/dim | trained |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "src/bitsback/models/zoo").glob("*.json")):
        card = json.loads(path.read_text())
        training = card["training"]
        macs = ", ".join(f"{name} {count:,}" for name, count in card["macs"].items())
        length = (
            f"{training['epochs']} epochs"
            if "epochs" in training
            else f"{training.get('done', training['steps']):,} steps"
        )
        measured = "test_bits_per_dim" in card
        rate = card["test_bits_per_dim" if measured else "held_out_bits_per_dim"]
        rows.append(
            f"| `{card['name']}` | {card['images']} | {card['data']['name']} | {card['bytes'] / 1e3:.1f} kB | {macs} "
            f"| {rate:.4f} ({'test set, -ELBO' if measured else 'held out'}) "
            f"| {length}, {training['minutes']:.0f} min, torch {training['torch']}, {training['date']} |"
        )
    page = ROOT / "docs/models.md"
    text = page.read_text()
    page.write_text(fill(text, "cards", "\n".join(rows)))


if __name__ == "__main__":
    main()
