"""Text, tables and marks that the command line, the terminal interface and the web page draw alike.

Every function here is pure: it takes the JSON of an answer and a `Style`, and returns text. Nothing here
reads a clock, looks at a terminal or prints, and nothing of the server or of the client is imported.
"""
