"""How answers are shown: numbers, console tables and the HTML page."""
