"""Who may see, change and delete what: the one rule behind every page and every API.

Staff may everything. By `access.visibility` everyone signed in sees every frame, or the people of
its proposal only, until its proprietary period is over; masters and frames of no proposal are
everyone's. What is changed is noted with who did it, and a frame whose proposal has people is
changed by them alone. A task is its owner's and its groups'.
"""

from app.services.access.changes import (
    check_change,
    check_change_block,
    check_validate,
    hiding_blocks,
    may_change,
    may_delete,
    others_blocks,
)
from app.services.access.frames import Rule, may_stranger_see
from app.services.access.people import (
    check_account,
    check_email,
    check_manage,
    check_staff,
    is_open_site,
    is_staff,
    may_manage,
    sees_every_frame,
)
from app.services.access.proposals import (
    check_invite,
    check_lead,
    is_of,
    may_add_to,
    may_invite,
    may_lead,
    may_upload_to,
    own_proposals,
)
from app.services.access.tasks import check_delete_task, may_delete_task
from app.services.access.visible import may_see, seen_among, visible_to

__all__ = [
    "Rule",
    "check_account",
    "check_change",
    "check_change_block",
    "check_delete_task",
    "check_email",
    "check_invite",
    "check_lead",
    "check_manage",
    "check_staff",
    "check_validate",
    "hiding_blocks",
    "is_of",
    "is_open_site",
    "is_staff",
    "may_add_to",
    "may_change",
    "may_delete",
    "may_delete_task",
    "may_invite",
    "may_lead",
    "may_manage",
    "may_see",
    "may_stranger_see",
    "may_upload_to",
    "others_blocks",
    "own_proposals",
    "seen_among",
    "sees_every_frame",
    "visible_to",
]
