"""Write the page template for `dvc plots` with Vega included, so that charts need no network."""

import argparse
from pathlib import Path

from vl_convert import javascript_bundle

VEGA_LITE = "5.21"  # DVC writes its charts for version 5
PAGE = """<!DOCTYPE html>
<html>
<head>
    <meta charset="utf-8">
    {refresh_tag}
    <title>DVC plots</title>
    <script>(function () {VEGA})();</script>
    <style>
        table {
            border-spacing: 15px;
        }
    </style>
</head>
<body>
    {plot_divs}
</body>
</html>
"""  # DVC's own page without {scripts}, which a browser would download


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    page: Path = parser.parse_args().page
    vega = javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    assert "</script" not in vega
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(PAGE.replace("VEGA", vega), encoding="utf-8")
    partial.replace(page)


if __name__ == "__main__":
    main()
