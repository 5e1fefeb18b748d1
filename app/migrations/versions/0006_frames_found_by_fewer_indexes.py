"""frames are found by fewer indexes

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

# An index of a band and the time finds what one of the band alone did, and a third of what a scan
# takes is the upkeep of indexes.
DATED = sa.text('start_utc IS NOT NULL')
PROPOSED = sa.text('proposal_id IS NOT NULL')


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


def downgrade():
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
