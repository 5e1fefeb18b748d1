"""The STDWeb face."""

from apiflask import APIBlueprint
from flask import Blueprint

from app.api import tokens

blueprint = APIBlueprint("stdweb", __name__, tag="STDWeb")
tokens.word_refusals(blueprint)
tokens.add_token_call(blueprint, "/api/auth/token/", "/stdweb/api/auth/token/")

BLUEPRINTS: tuple[Blueprint, ...] = (blueprint,)
