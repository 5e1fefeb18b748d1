"""Every table of the domain model; import models from here."""

from app.models.blocks import Block, BlockFrame, BlockKind, SuperflatLink
from app.models.frames import (
    FileState,
    Frame,
    FrameCell,
    FrameParent,
    HeaderText,
    Level,
    ScannedFile,
)
from app.models.jobs import OPEN_STATES, Job, JobNeed, JobState
from app.models.observatory import Camera
from app.models.settings import Event, StoredSetting
from app.models.tasks import Preset, Task, TaskStep, task_frames, task_groups
from app.models.users import (
    AuditEntry,
    BrowserSession,
    Group,
    Invitation,
    Proposal,
    Token,
    User,
    group_members,
    proposal_groups,
    proposal_members,
)

__all__ = [
    "OPEN_STATES",
    "AuditEntry",
    "Block",
    "BlockFrame",
    "BlockKind",
    "BrowserSession",
    "Camera",
    "Event",
    "FileState",
    "Frame",
    "FrameCell",
    "FrameParent",
    "Group",
    "HeaderText",
    "Invitation",
    "Job",
    "JobNeed",
    "JobState",
    "Level",
    "Preset",
    "Proposal",
    "ScannedFile",
    "StoredSetting",
    "SuperflatLink",
    "Task",
    "TaskStep",
    "Token",
    "User",
    "group_members",
    "proposal_groups",
    "proposal_members",
    "task_frames",
    "task_groups",
]
