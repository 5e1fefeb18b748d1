"""Reference catalogues: files read into stores (`load`, `build`), stores asked for stars (`store`).

Its parts are imported by name: a program that only lists catalogues does without pyarrow.
"""
