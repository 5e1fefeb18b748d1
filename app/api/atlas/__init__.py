"""The ATLAS face."""

from apiflask import APIBlueprint
from flask import Blueprint

from app.api import tokens

blueprint = APIBlueprint("atlas", __name__, tag="ATLAS")
tokens.word_refusals(blueprint)
tokens.add_token_call(blueprint, "/forcedphot/api-token-auth/")

BLUEPRINTS: tuple[Blueprint, ...] = (blueprint,)
