"""Widgets that draw from the board's rows. None of them fetches anything."""
