"""The BHTOM face."""

from apiflask import APIBlueprint
from flask import Blueprint

from app.api import tokens

blueprint = APIBlueprint("bhtom", __name__, tag="BHTOM")
tokens.word_refusals(blueprint)
tokens.add_token_call(blueprint, "/api/token-auth/")

BLUEPRINTS: tuple[Blueprint, ...] = (blueprint,)
