"""on the sky

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('frames', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sky_state', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('sky_cause', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('scale_arcsec', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('rotation_deg', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('wcs_rms_arcsec', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('n_sources', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('fwhm_pix', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('ellipticity', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('sky_level', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('sky_noise', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('zero_point_mag', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('zero_point_error_mag', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('limit_mag', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('on_sky', sa.JSON(), nullable=False, server_default='{}'))


def downgrade():
    with op.batch_alter_table('frames', schema=None) as batch_op:
        batch_op.drop_column('on_sky')
        batch_op.drop_column('limit_mag')
        batch_op.drop_column('zero_point_error_mag')
        batch_op.drop_column('zero_point_mag')
        batch_op.drop_column('sky_noise')
        batch_op.drop_column('sky_level')
        batch_op.drop_column('ellipticity')
        batch_op.drop_column('fwhm_pix')
        batch_op.drop_column('n_sources')
        batch_op.drop_column('wcs_rms_arcsec')
        batch_op.drop_column('rotation_deg')
        batch_op.drop_column('scale_arcsec')
        batch_op.drop_column('sky_cause')
        batch_op.drop_column('sky_state')
