"""tasks and sources

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from app.db import UtcDateTime

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

# Of the list of frames in the order of time. Databases made before revision 0001 had them have it
# without: what is there already is left alone.
LISTED = ('kind', 'level', 'band', 'object_name', 'camera_id')
TELLS_TIME = sa.text('start_utc IS NOT NULL')


def upgrade():
    for name in LISTED:
        op.create_index(
            f'ix_frames_{name}_start_utc',
            'frames',
            [name, 'start_utc'],
            if_not_exists=True,
            sqlite_where=TELLS_TIME,
            postgresql_where=TELLS_TIME,
        )
    op.create_index('ix_frames_level_night', 'frames', ['level', 'night'], if_not_exists=True)
    op.create_table('presets',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('config', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_presets')),
    sa.UniqueConstraint('name', name=op.f('uq_presets_name')),
    sqlite_autoincrement=True
    )
    op.create_table('tasks',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('original_name', sa.String(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('owner_id', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.Integer(), nullable=True),
    sa.Column('config', sa.JSON(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.Column('completed_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_tasks_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tasks')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_tasks_created_at'), ['created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_tasks_job_id'), ['job_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_tasks_owner_id'), ['owner_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_tasks_state'), ['state'], unique=False)

    op.create_table('task_groups',
    sa.Column('task_id', sa.Integer(), nullable=False),
    sa.Column('group_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['group_id'], ['groups.id'], name=op.f('fk_task_groups_group_id')),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_task_groups_task_id')),
    sa.PrimaryKeyConstraint('task_id', 'group_id', name=op.f('pk_task_groups'))
    )
    with op.batch_alter_table('task_groups', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_task_groups_group_id'), ['group_id'], unique=False)

    op.create_table('task_frames',
    sa.Column('task_id', sa.Integer(), nullable=False),
    sa.Column('frame_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_task_frames_task_id')),
    sa.PrimaryKeyConstraint('task_id', 'frame_id', name=op.f('pk_task_frames'))
    )
    op.create_table('frame_cells',
    sa.Column('cell', sa.Integer(), nullable=False),
    sa.Column('frame_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['frame_id'], ['frames.id'], name=op.f('fk_frame_cells_frame_id')),
    sa.PrimaryKeyConstraint('cell', 'frame_id', name=op.f('pk_frame_cells')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('frame_cells', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_frame_cells_frame_id'), ['frame_id'], unique=False)

    with op.batch_alter_table('frames', schema=None) as batch_op:
        batch_op.add_column(sa.Column('quality', sa.JSON(), nullable=False, server_default='[]'))



def downgrade():
    with op.batch_alter_table('frames', schema=None) as batch_op:
        batch_op.drop_column('quality')

    with op.batch_alter_table('frame_cells', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_frame_cells_frame_id'))

    op.drop_table('frame_cells')
    op.drop_table('task_frames')
    with op.batch_alter_table('task_groups', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_task_groups_group_id'))

    op.drop_table('task_groups')
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_tasks_state'))
        batch_op.drop_index(batch_op.f('ix_tasks_owner_id'))
        batch_op.drop_index(batch_op.f('ix_tasks_job_id'))
        batch_op.drop_index(batch_op.f('ix_tasks_created_at'))

    op.drop_table('tasks')
    op.drop_table('presets')
