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
        "| model | images | data | file | networks, MACs an image | test set, -ELBO | trained |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "src/bitsback/models/zoo").glob("*.json")):
        card = json.loads(path.read_text())
        training = card["training"]
        rows.append(
            f"| `{card['name']}` | {card['images']} | {card['data']['name']} | {card['bytes'] / 1e6:.2f} MB "
            f"| encoder {card['macs']['encoder']:,}, decoder {card['macs']['decoder']:,} "
            f"| {card['test_bits_per_dim']:.4f} bits/dim "
            f"| {training['epochs']} epochs of {training['minutes'] / training['epochs']:.1f} min, "
            f"torch {training['torch']}, {training['date']} |"
        )
    page = ROOT / "docs/models.md"
    text = page.read_text()
    page.write_text(fill(text, "cards", "\n".join(rows)))


if __name__ == "__main__":
    main()
