"""A site with proposals, people and files whose secrets can be told apart, and who may know them.

What anybody may see or change is said here anew, by hand: the tests hold the program to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient

from app import paths
from app.db import db, transaction, utcnow
from app.models import (
    Block,
    BlockFrame,
    Camera,
    Event,
    FileState,
    Frame,
    FrameParent,
    Group,
    Job,
    JobState,
    Level,
    Proposal,
    ScannedFile,
    SuperflatLink,
    Task,
    Token,
    User,
)
from app.services import accounts, audit, jobs, task_files
from tests.app.services.rawfiles import fits_bytes, store
from tests.factories import make_user
from tests.matrix import solved

NIGHT: Final = date(2026, 11, 20)
MISSING: Final = 77_000_777  # a number no row has
# A word for each proposal that is in everything of it: names, headers, remarks, paths, logs.
SECRETS: Final = {"A": "zorbax", "B": "quilnar", "D": "vexnor"}
OPEN: Final = "C"  # its proprietary period is over
FREE: Final = ""  # no proposal
STRANGERS: Final = ("anonymous", "expired token", "revoked token", "disabled user")
MEMBERS: Final = ("member", "member by group", "principal investigator")
OUTSIDERS: Final = ("observer", "other observer")
STAFF: Final = ("staff", "superuser")
CALLERS: Final = (*STRANGERS, *OUTSIDERS, *MEMBERS, *STAFF)
_ON: Final = {"other observer": "B"} | dict.fromkeys(MEMBERS, "A")
PASSWORD: Final = "night-sky-7"


@dataclass(slots=True)
class Caller:
    """Somebody who asks: what is sent with each of their requests, and whose proposal is theirs."""

    name: str
    client: FlaskClient
    user: User | None = None

    @property
    def on(self) -> str:
        return _ON.get(self.name, "")

    @property
    def is_staff(self) -> bool:
        return self.name in STAFF

    @property
    def is_stranger(self) -> bool:
        return self.name in STRANGERS


@dataclass(frozen=True, slots=True)
class Thing:
    """A row somebody asks for: its number, the proposals in it, and whose it is besides."""

    id: int
    proposals: frozenset[str] = frozenset()
    owner: str = ""  # the caller who made it
    is_shared: bool = False  # of everyone, whatever is in it: masters, their blocks
    is_master: bool = False
    is_private: bool = False  # its owner's and staff's on every site: jobs, results, settings
    shared_with: tuple[str, ...] = ()  # callers in a group it is shared with
    name: str = ""


@dataclass(slots=True)
class World:
    """The site: its callers, and its rows by kind and by what they are."""

    app: Flask
    callers: dict[str, Caller] = field(default_factory=dict)
    things: dict[str, dict[str, Thing]] = field(default_factory=dict)
    files: dict[str, Thing] = field(default_factory=dict)  # by path below the data root
    is_open: bool = True
    media_open: bool = False

    def sees(self, caller: Caller, thing: Thing) -> bool:
        """Tell whether somebody signed in may see something of frames."""
        if thing.id == MISSING:
            return False
        if caller.is_staff:
            return True
        if thing.is_private:
            is_theirs = caller.name in (thing.owner, *thing.shared_with)
            return is_theirs and self.sees_all_of(caller, thing)
        if self.is_open or thing.is_shared or thing.owner == caller.name:
            return True
        parts = thing.proposals or {FREE}
        return any(part in {FREE, OPEN, caller.on} for part in parts)

    def may_change(self, caller: Caller, thing: Thing) -> bool:
        """Tell whether somebody who sees it may change it: every part must be theirs or free."""
        if not self.sees(caller, thing):
            return False
        if caller.is_staff:
            return True
        if thing.is_shared and not thing.proposals:
            return self.is_open or not thing.is_master
        bare = {FREE, "D"} if self.is_open else {FREE}  # nobody is on D
        return all(part in bare | {caller.on or FREE} for part in thing.proposals)

    def sees_all_of(self, caller: Caller, thing: Thing) -> bool:
        """Tell whether nothing in something is hidden from somebody signed in."""
        known = {FREE, OPEN, caller.on}
        return caller.is_staff or self.is_open or thing.proposals <= known

    def forbidden_words(self, caller: Caller) -> list[bytes]:
        """Return the words that no answer to somebody may hold."""
        if caller.is_staff or (self.is_open and not caller.is_stranger):
            return []
        return [word.encode() for name, word in SECRETS.items() if name != caller.on]

    def frames_seen(self, caller: Caller, frames: Iterable[Thing] | None = None) -> set[int]:
        """Return the numbers of the frames somebody sees."""
        among = self.things["frame"].values() if frames is None else frames
        return {thing.id for thing in among if self.sees(caller, thing)}


def build(app: Flask) -> World:
    """Make the site."""
    world = World(app)
    with transaction():
        people = _people(world)
        proposals = _proposals(people)
        frames = _frames(world, proposals)
        _blocks(world, frames, people)
        _jobs(world, people)
        _tasks(world, people)
        _files(world, people)
        _accounts(world, people, proposals)
    return world


def _number(kind: str, n: int) -> int:
    """Return a row's number: one that stands for nothing else on a page."""
    kinds = ("frame", "block", "job", "proposal", "user", "group", "token", "task")
    return 41_000 + 1000 * kinds.index(kind) + n


def _people(world: World) -> dict[str, User]:
    flags: Mapping[str, dict[str, bool]] = {
        "staff": {"is_staff": True},
        "superuser": {"is_staff": True, "is_superuser": True},
    }
    people: dict[str, User] = {}
    for name in (*OUTSIDERS, *MEMBERS, *STAFF, "disabled user"):
        username = name.replace(" ", "-")
        rights: dict[str, Any] = dict(flags.get(name, {}))
        rights["id"] = _number("user", len(people))
        rights["email"] = f"{username}@obs.example"
        people[name] = make_user(username, PASSWORD, **rights)
    for name in CALLERS:
        client = world.app.test_client(use_cookies=False)
        owner = people.get(name) or people["member"]
        if name != "anonymous":
            key = accounts.issue_token(owner, name=name)
            client.environ_base["HTTP_AUTHORIZATION"] = f"Token {key}"
        world.callers[name] = Caller(name, client, people.get(name))
    for number, token in enumerate(db.session.query(Token).all()):
        token.id = _number("token", number)
        if token.name == "expired token":
            token.expires_at = utcnow() - timedelta(seconds=5)
        if token.name == "revoked token":
            token.revoked_at = utcnow()
    people["disabled user"].is_active = False
    db.session.flush()
    return people


def _proposals(people: Mapping[str, User]) -> dict[str, int]:
    group = Group(
        id=_number("group", 1), name="zorbax students", members=[people["member by group"]]
    )
    disabled = people["disabled user"]
    made = {
        "A": Proposal(
            code="2026B-ZORBAX",
            title="The zorbax survey",
            abstract="Zorbax, zorbax.",
            pi=people["principal investigator"],
            members=[people["member"], disabled],
            groups=[group],
        ),
        "B": Proposal(code="2026B-QUILNAR", title="Quilnar", members=[people["other observer"]]),
        "C": Proposal(code="2025A-OPEN", pi=people["staff"], proprietary_days=0),
        "D": Proposal(code="2026B-VEXNOR"),
    }
    for number, proposal in enumerate(made.values()):
        proposal.id = _number("proposal", number)
    db.session.add_all(made.values())
    db.session.flush()
    return {name: proposal.id for name, proposal in made.items()}


def _frames(world: World, proposals: Mapping[str, int]) -> dict[str, Frame]:
    maker = _Maker(world, proposals)
    for name, part, kind in (
        ("free", FREE, "science"),
        ("free flat", FREE, "flat"),
        ("free bias", FREE, "bias"),
        ("free bias 2", FREE, "bias"),
        ("secret", "A", "science"),
        ("secret 2", "A", "science"),
        ("secret bias", "A", "bias"),
        ("others", "B", "science"),
        ("released", OPEN, "science"),
        ("bare", "D", "science"),
    ):
        maker.raw(name, part, kind)
    maker.product("reduced free", "free")
    maker.product("reduced secret", "secret")
    maker.master("master", ["free bias", "free bias 2", "secret bias"])
    maker.master("super-flat", [])
    made = maker.made
    made["secret"].comment = "zorbax is overexposed"
    made["secret"].notes = ["not reduced: zorbax"]
    audit.note(world.callers["member"].user, "commented", made["secret"], "zorbax")
    db.session.flush()
    world.things["frame"]["missing"] = Thing(MISSING)
    return made


@dataclass(slots=True)
class _Maker:
    """Makes frames with their files."""

    world: World
    proposals: Mapping[str, int]
    made: dict[str, Frame] = field(default_factory=dict)
    camera: Camera = field(
        default_factory=lambda: Camera(name="Cam", instrument="Cam", telescope="T", nx=16, ny=12)
    )

    def raw(self, name: str, part: str, kind: str) -> None:
        word = SECRETS.get(part, f"plain{len(self.made)}")
        number = len(self.made)
        path = f"2026-11-20-{word}/{word}_{kind}_{number}.fits"
        header: dict[str, Any] = {
            "OBJECT": f"{word} {number}",
            "OBSERVER": word,
            "PROPID": word.upper(),
            "IMAGETYP": kind,
        }
        content = fits_bytes(**header)
        store(paths.current().raw / path, content)
        row = ScannedFile(path=path, size=len(content), mtime_ns=1, state=FileState.REGISTERED)
        db.session.add(row)
        db.session.flush()
        self._add(
            name,
            part,
            file_id=row.id,
            path=f"RAW/{path}",
            size=len(content),
            kind=kind,
            object_name=header["OBJECT"],
            observer=word,
            proposal_code=word.upper() if part else None,
            header_text=content[:2880].decode(),
            thumb=self._thumb(f"{word}_{number}", word),
            band="r" if kind in {"science", "flat"} else None,
        )
        self.world.files[f"RAW/{path}"] = self.world.things["frame"][name]

    def product(self, name: str, of: str) -> None:
        raw = self.made[of]
        part = next(iter(self.world.things["frame"][of].proposals), FREE)
        word = SECRETS.get(part, "plain")
        path = f"PROCESSED/r/2026-11-20/{word}_{raw.id}_proc.fits"
        store(paths.current().data / path, fits_bytes(OBJECT=word, HISTORY=f"made of {raw.path}"))
        self._add(
            name,
            part,
            path=path,
            kind="science",
            level=Level.REDUCED,
            band="r",
            object_name=raw.object_name,
            missing=[f"no flat for {word}"],
            thumb=self._thumb(f"{word}_{raw.id}_proc", word),
            sky_state="solved",
            scale_arcsec=0.5,
            fwhm_pix=3.0,
            zero_point_mag=24.0,
            zero_point_error_mag=0.01,
            quality=["clouds"],
            **solved.columns(word),
        )
        edge = FrameParent(child_id=self.made[name].id, parent_id=raw.id, role="raw")
        db.session.add(edge)
        db.session.flush()
        sources = solved.place(self.made[name], word)
        for file in (path, sources):
            self.world.files[file] = self.world.things["frame"][name]

    def master(self, name: str, members: list[str]) -> None:
        kind = "bias" if members else "fringe"
        path = f"MASTERS/{name}.fits"
        store(paths.current().data / path, fits_bytes(OBJECT="master", IMAGETYP="Bias"))
        self._add(
            name, FREE, is_shared=True, path=path, kind=kind, level=Level.MASTER, object_name=None
        )
        db.session.add_all(
            FrameParent(child_id=self.made[name].id, parent_id=self.made[one].id, role="member")
            for one in members
        )
        db.session.flush()
        self.world.files[path] = self.world.things["frame"][name]

    def _add(self, name: str, part: str, *, is_shared: bool = False, **values: Any) -> None:
        values["file_name"] = values["path"].rpartition("/")[2]
        start = datetime(2026, 11, 20, 22, len(self.made), tzinfo=UTC)
        columns = {"nx": 16, "ny": 12, "night": NIGHT, "start_utc": start, "exptime_s": 30.0}
        frame = Frame(
            id=_number("frame", len(self.made)),
            **columns,
            **values,
            camera=self.camera,
            proposal_id=self.proposals.get(part),
        )
        db.session.add(frame)
        db.session.flush()
        self.made[name] = frame
        parts = frozenset({part}) - {FREE}
        thing = Thing(
            frame.id, parts, is_shared=is_shared, is_master=is_shared, name=frame.file_name
        )
        self.world.things.setdefault("frame", {})[name] = thing

    def _thumb(self, name: str, word: str) -> str:
        path = f"THUMBS/{name}.png"
        store(paths.current().data / path, b"\x89PNG\r\n\x1a\n" + word.encode())
        return path


def _blocks(world: World, frames: Mapping[str, Frame], people: Mapping[str, User]) -> None:
    mine = world.things["block"] = {"missing": Thing(MISSING)}
    parts_of = {name: thing.proposals or {FREE} for name, thing in world.things["frame"].items()}

    def add(name: str, kind: str, members: list[str], **values: Any) -> Block:
        block = Block(
            id=_number("block", len(mine)), kind=kind, start_night=NIGHT, end_night=NIGHT, **values
        )
        block.entries = [BlockFrame(frame_id=frames[one].id) for one in members]
        db.session.add(block)
        db.session.flush()
        parts = frozenset(part for one in members for part in parts_of[one])
        mine[name] = Thing(block.id, parts, is_shared=kind in {"bias", "flat", "fringe"})
        return block

    add("free", "sci", ["free"], band="r")
    secret = add("secret", "sci", ["secret", "secret 2"], band="r", contains="zorbax")
    secret.entries[0].product_id = frames["reduced secret"].id
    secret.owner_id = people["observer"].id  # who may not see its frames any more
    secret.entries[1].left_out = "zorbax is saturated"
    add("others", "sci", ["others"], band="r")
    add("bare", "sci", ["bare"], band="r")
    mixed = add("mixed", "sci", ["free", "secret", "others"], band="r", contains="zorbax,quilnar")
    mixed.plan_key = "sci/2026-11-20/x"
    add("bias", "bias", ["free bias", "free bias 2"], master_id=frames["master"].id, status=1)
    add("mixed bias", "bias", ["free bias", "secret bias"])
    add("flat", "flat", ["free flat"], band="r")
    add("fringe", "fringe", [], band="r", master_id=frames["super-flat"].id, status=1)
    group = add("group", "sci", [], is_group=True)
    hidden_group = add("hidden group", "sci", [], is_group=True)
    flats = add("flat group", "flat", [], is_group=True)
    child = add("child", "sci", ["free"], band="r", parent_id=group.id)
    add("hidden child", "sci", ["secret 2"], band="r", parent_id=group.id)
    add("only child", "sci", ["secret 2"], band="r", parent_id=hidden_group.id)
    add("flat child", "flat", ["free flat"], band="r", parent_id=flats.id)
    mine["group"] = Thing(group.id, frozenset({FREE, "A"}))
    mine["hidden group"] = Thing(hidden_group.id, frozenset({"A"}))
    db.session.add(SuperflatLink(frame_id=frames["secret"].id, block_id=mine["fringe"].id))
    child.owner_id = people["observer"].id
    audit.note(people["member"], "commented", secret, "zorbax block")
    db.session.flush()


def _jobs(world: World, people: Mapping[str, User]) -> None:
    mine = world.things["job"] = {"missing": Thing(MISSING)}
    blocks = world.things["block"]

    def add(name: str, owner: str, block: str, state: JobState, word: str = "plain") -> None:
        thing = blocks[block]
        ended = state in {JobState.DONE, JobState.FAILED}
        job = Job(
            id=_number("job", len(mine)),
            function="blocks.process_block",
            label=f"sci block {thing.id} {word}",
            arguments={"block_id": thing.id, "code": "ov"},
            owner_id=people[owner].id if owner else None,
            state=state,
            step=f"reading {word}.fits",
            error=f"{word}.fits is broken" if state is JobState.FAILED else None,
            result={"message": f"{word}.fits was up to date"} if ended else {},
            started_at=utcnow() if state is not JobState.QUEUED else None,
            finished_at=utcnow() if ended else None,
        )
        db.session.add(job)
        db.session.flush()
        store(jobs.log_path(job.id), f"{word}.fits read\n".encode())
        mine[name] = Thing(job.id, thing.proposals, owner=owner, is_private=True)
        world.files[f"LOGS/job-{job.id:06d}.log"] = mine[name]

    add("observer's", "observer", "free", JobState.QUEUED)
    add("observer's done", "observer", "free", JobState.DONE)
    add("observer's of mixed", "observer", "mixed", JobState.FAILED, "zorbax")
    add("secret", "member", "secret", JobState.QUEUED, "zorbax")
    add("secret failed", "member", "secret", JobState.FAILED, "zorbax")
    add("others'", "other observer", "others", JobState.RUNNING, "quilnar")
    add("house's", "", "mixed bias", JobState.DONE, "zorbax")
    db.session.add(Event(topic="frames", subject={"night": "2026-11-20", "name": "zorbax"}))
    db.session.flush()


def _tasks(world: World, people: Mapping[str, User]) -> None:
    """Tasks of one's own, of one's group, and one's own copy of what is other people's."""
    mine = world.things["task"] = {"missing": Thing(MISSING)}
    secret = db.session.get_one(Frame, world.things["frame"]["secret"].id)

    def add(name: str, owner: str, word: str, thing: Thing, **values: Any) -> None:
        task = Task(
            id=_number("task", len(mine)),
            owner_id=people[owner].id,
            original_name=f"{word}.fits",
            title=f"{word} by itself",
            state="uploaded",
            config={"target": f"{word} 1"},
            **values,
        )
        db.session.add(task)
        db.session.flush()
        mine[name] = replace(thing, id=task.id, owner=owner, is_private=True)
        folder = task_files.folder(task)
        store(folder / task_files.IMAGE, fits_bytes(OBJECT=word, IMAGETYP="Light"))
        store(folder / "objects.png", b"\x89PNG\r\n\x1a\n" + word.encode())

    group = db.session.query(Group).one()
    add("observer's", "observer", "plain", Thing(0))
    shared = Thing(0, frozenset({"A"}), shared_with=("member by group",))
    add("shared", "member", "zorbax", shared, groups=[group])
    copied = Thing(0, frozenset({"A"}))
    add("copied", "observer", "zorbax", copied, source=secret.path)
    add("others'", "other observer", "quilnar", Thing(0, frozenset({"B"})))


def _files(world: World, people: Mapping[str, User]) -> None:
    here = paths.current()
    rows = [
        ("2026-11-20-zorbax/zorbax_broken.fits", FileState.QUARANTINED, "zorbax is no FITS file"),
        ("2026-11-20-zorbax/zorbax_copy.fits", FileState.DUPLICATE, "the same as zorbax"),
    ]
    secret = world.things["frame"]["secret"]
    frame = db.session.get_one(Frame, secret.id)
    for path, state, reason in rows:
        twin = frame.file_id if state is FileState.DUPLICATE else None
        row = ScannedFile(path=path, size=9, mtime_ns=1, state=state, reason=reason)
        row.duplicate_of_id = twin
        db.session.add(row)
    db.session.flush()
    hidden = Thing(0, frozenset({"D"}))  # nobody but staff may tell whose it is
    for path, _, _ in rows:
        store(here.raw / path, b"zorbax vexnor")
        world.files[f"RAW/{path}"] = hidden
    for thing in world.things["frame"].values():
        row_of = db.session.get(Frame, thing.id)
        if row_of is not None and row_of.thumb:
            world.files[row_of.thumb] = thing
    for owner, word in (("member", "zorbax"), ("other observer", "quilnar")):
        path = f"TMP/query_u{people[owner].id}_20261120T000000000000_x.csv"
        store(here.data / path, f"file_name\n{word}.fits\n".encode())
        world.files[path] = Thing(0, owner=owner, is_private=True)
    store(here.data / "CONFIG" / "night.toml", b'[site]\nname = "vexnor"\n')
    world.files["CONFIG/night.toml"] = Thing(0, is_private=True)
    store(here.main_log, b"20/11/2026 22:00:00 - INFO - zorbax quilnar vexnor\n")


def _accounts(world: World, people: Mapping[str, User], proposals: Mapping[str, int]) -> None:
    group_id = db.session.query(Group).one().id
    tokens = {token.name: token.id for token in db.session.query(Token).all()}
    world.things["token"] = {
        "observer's": Thing(tokens["observer"], owner="observer", is_private=True),
        "member's": Thing(tokens["member"], owner="member", is_private=True),
        "missing": Thing(MISSING),
    }
    world.things["user"] = {name: Thing(user.id) for name, user in people.items()}
    world.things["user"]["missing"] = Thing(MISSING)
    world.things["proposal"] = {
        "secret": Thing(proposals["A"], frozenset({"A"})),
        "others": Thing(proposals["B"], frozenset({"B"})),
        "missing": Thing(MISSING),
    }
    world.things["group"] = {"students": Thing(group_id), "missing": Thing(MISSING)}
