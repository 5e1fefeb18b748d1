"""frames are stored faster

Revision ID: 0006
Revises: 0005
"""

import re

import sqlalchemy as sa
from alembic import op

from app.schema import SchemaError

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

# A list by band or object asks for the time, or for none, and the upkeep of indexes is more than
# half of what storing a frame takes.
DATED = sa.text('start_utc IS NOT NULL')
PROPOSED = sa.text('proposal_id IS NOT NULL')
# While SQLite may have to undo half of a statement, it copies every page that it changes: so these
# are asked at the commit.
REFERENCES = {
    'scanned_files': ['fk_scanned_files_duplicate_of_id'],
    'frames': ['fk_frames_file_id', 'fk_frames_camera_id', 'fk_frames_proposal_id'],
}
AT_COMMIT = ' DEFERRABLE INITIALLY DEFERRED'


def upgrade():
    for name in ('band', 'object_name'):
        op.drop_index(f'ix_frames_{name}', 'frames')
        op.drop_index(f'ix_frames_{name}_start_utc', 'frames')
        op.create_index(f'ix_frames_{name}_start_utc', 'frames', [name, 'start_utc'])
    op.drop_index('ix_frames_proposal_id', 'frames')
    op.create_index(
        'ix_frames_proposal_id',
        'frames',
        ['proposal_id'],
        sqlite_where=PROPOSED,
        postgresql_where=PROPOSED,
    )
    ask('', AT_COMMIT)


def downgrade():
    ask(AT_COMMIT, '')
    op.drop_index('ix_frames_proposal_id', 'frames')
    op.create_index('ix_frames_proposal_id', 'frames', ['proposal_id'])
    for name in ('band', 'object_name'):
        op.drop_index(f'ix_frames_{name}_start_utc', 'frames')
        op.create_index(
            f'ix_frames_{name}_start_utc',
            'frames',
            [name, 'start_utc'],
            sqlite_where=DATED,
            postgresql_where=DATED,
        )
        op.create_index(f'ix_frames_{name}', 'frames', [name])


def ask(before, after):
    """Change when references are asked for: behind `before`, what says so becomes `after`."""
    connection = op.get_bind()
    if connection.dialect.name == 'sqlite':
        rewrite(connection, before, after)
        return
    for table, names in REFERENCES.items():
        for name in names:
            op.execute(f'ALTER TABLE {table} ALTER CONSTRAINT {name} {after or "NOT DEFERRABLE"}')


def rewrite(connection, before, after):
    """Change the text of tables in SQLite's schema, as its manual has it for references.

    Nothing stored depends on it; to copy a million frames into a table with another text would
    take minutes, and their room once more.
    """
    texts = {table: rewritten(connection, table, before, after) for table in REFERENCES}
    version = connection.exec_driver_sql('PRAGMA schema_version').scalar()
    connection.exec_driver_sql('PRAGMA writable_schema=ON')
    try:
        for table, text in texts.items():
            connection.exec_driver_sql(
                "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", (text, table)
            )
        connection.exec_driver_sql(f'PRAGMA schema_version={version + 1}')
    finally:
        connection.exec_driver_sql('PRAGMA writable_schema=RESET')


def rewritten(connection, table, before, after):
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    text = connection.exec_driver_sql(query, (table,)).scalar()
    for name in REFERENCES[table]:
        said = rf'(CONSTRAINT "?{name}"? FOREIGN KEY\s*\([^)]*\) REFERENCES [^(,]+\([^)]*\)){before}(?=\s*[,)])'
        text, n_found = re.subn(said, rf'\1{after}', text)
        if n_found != 1:
            raise SchemaError(
                f'{name} is not in the schema of {table} as this program made it: somebody changed '
                'it by hand; take that back, or go on with the version that ran before'
            )
    return text
