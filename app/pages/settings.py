"""The operational settings: everyone reads them, staff changes them."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import config
from app.api.auth import current_user
from app.config import OPERATIONAL, Setting
from app.db import transaction
from app.errors import InvalidRequestError, NotAllowedError
from app.pages.base import blueprint
from app.pages.settings_titles import ITEMS, SECTIONS
from app.services import quality, settings


@blueprint.get("/settings/")
def show_settings() -> ResponseReturnValue:
    """Show every operational setting with its help."""
    return _page({})


def _page(wrong: Mapping[str, str]) -> str:
    sections: dict[str, list[Setting]] = {}
    for setting in OPERATIONAL.values():
        if not setting.secret:
            sections.setdefault(setting.section, []).append(setting)
    fixed = [setting for setting in config.SETTINGS if setting.infrastructure]
    return render_template(
        "settings.html",
        sections=sections,
        section_titles=SECTIONS,
        titles=ITEMS,
        values=settings.snapshot().values,
        typed=request.form,
        wrong=wrong,
        fixed={s: getattr(config.current(), s.item) for s in fixed if not s.secret},
        may_change=current_user().is_staff,
    )


@blueprint.post("/settings/")
def change_settings() -> ResponseReturnValue:
    """Change the settings of one section that differ from what they are, all or none."""
    user = current_user()
    if not user.is_staff:
        raise NotAllowedError("Only staff may change settings.")
    section = request.form.get("section", "")
    wrong = _wrong(section)
    if wrong:
        return _page(wrong), 400
    now, changed = settings.snapshot(), []
    with transaction():
        for setting, value in _sent(section):
            if config.coerce(setting, value) != now.values[setting.name]:
                settings.change(section, setting.item, value, by=user)
                changed.append(setting.item)
    quality.mark_anew_if_due()
    said = f"Changed: {', '.join(changed)}." if changed else "Nothing was different."
    flash(said, section)  # shown in that section: the page's own messages are out of sight there
    return redirect(url_for("pages.show_settings", _anchor=section), HTTPStatus.SEE_OTHER)


def _sent(section: str) -> list[tuple[Setting, str]]:
    """Return the section's settings with what the form says; an unticked box sends nothing."""
    known = [s for s in OPERATIONAL.values() if s.section == section and not s.secret]
    if not known:
        raise InvalidRequestError(section=f"there is no section {section!r}")
    return [
        (s, request.form.get(s.item, "false"))
        for s in known
        if s.item in request.form or isinstance(s.default, bool)
    ]


def _wrong(section: str) -> dict[str, str]:
    found = {}
    for setting, value in _sent(section):
        try:
            config.coerce(setting, value)
        except config.ConfigError as error:
            found[setting.name] = str(error)
    return found
