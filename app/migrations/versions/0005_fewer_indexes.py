"""fewer indexes

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

# A frame that a scan has just found has no hash: its pixels were not read. No query asks for the
# time when a file changed its state.
HAS_HASH = sa.text("content_sha256 != ''")


def upgrade():
    op.drop_index('ix_scanned_files_changed_at', 'scanned_files')
    op.drop_index('ix_frames_content_sha256', 'frames')
    op.create_index(
        'ix_frames_content_sha256',
        'frames',
        ['content_sha256'],
        sqlite_where=HAS_HASH,
        postgresql_where=HAS_HASH,
    )


def downgrade():
    op.drop_index('ix_frames_content_sha256', 'frames')
    op.create_index('ix_frames_content_sha256', 'frames', ['content_sha256'])
    op.create_index('ix_scanned_files_changed_at', 'scanned_files', ['changed_at'])
