"""The peer of our list: Django REST framework's cursor pages over the same table, in one file.

Run as a program, it makes a user and prints the token that `WITH_TOKENS` asks for.
"""

import os
import sys

import django
from django.conf import settings

WITH_TOKENS = bool(os.environ.get("WITH_TOKENS"))
OPEN_APPS = ["rest_framework"]
TOKEN_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework.authtoken"]

settings.configure(
    DEBUG=False,
    SECRET_KEY="of the benchmark",  # noqa: S106 - nobody's
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=OPEN_APPS + (TOKEN_APPS if WITH_TOKENS else []),
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["FRAMES_DB"],
            "CONN_MAX_AGE": None,
        }
    },
    MIDDLEWARE=[],
    USE_TZ=True,
    TIME_ZONE="UTC",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": (
            ["rest_framework.authentication.TokenAuthentication"] if WITH_TOKENS else []
        ),
        "DEFAULT_PERMISSION_CLASSES": (
            ["rest_framework.permissions.IsAuthenticated"] if WITH_TOKENS else []
        ),
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django must be set up first
from django.db import models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.generics import ListAPIView  # noqa: E402
from rest_framework.pagination import CursorPagination  # noqa: E402
from rest_framework.serializers import ModelSerializer  # noqa: E402


class Frame(models.Model):
    """The fields our own list tells."""

    file_name = models.TextField()
    path = models.TextField()
    size = models.BigIntegerField()
    level = models.IntegerField()
    kind = models.TextField()
    technique = models.TextField()
    band = models.TextField(null=True)
    exptime_s = models.FloatField(null=True)
    start_utc = models.DateTimeField(null=True)
    night = models.DateField(null=True)
    object_name = models.TextField(null=True)
    ra_deg = models.FloatField(null=True)
    dec_deg = models.FloatField(null=True)
    airmass = models.FloatField(null=True)
    camera_id = models.IntegerField(null=True)
    nx = models.IntegerField()
    ny = models.IntegerField()
    temp_c = models.FloatField(null=True)
    is_valid = models.BooleanField()
    status = models.IntegerField()
    unusable = models.TextField(null=True)
    kind_doubt = models.TextField(null=True)
    outdated = models.TextField(null=True)
    missing = models.JSONField()
    is_thin = models.BooleanField()
    median = models.FloatField(null=True)
    noise = models.FloatField(null=True)
    quality = models.JSONField()

    class Meta:
        """The table is ours."""

        app_label = "frames"
        managed = False
        db_table = "frames"


class FrameSerializer(ModelSerializer):
    """Every field."""

    class Meta:
        """As the framework has it."""

        model = Frame
        fields = "__all__"


class ByTime(CursorPagination):
    """A hundred frames a page, newest first."""

    page_size = 100
    ordering = ("-start_utc", "-id")


class FrameList(ListAPIView):
    """The list."""

    queryset = Frame.objects.all()
    serializer_class = FrameSerializer
    pagination_class = ByTime


urlpatterns = [path("frames/", FrameList.as_view())]
application = get_wsgi_application()


def make_token() -> str:
    """Make the tables and the user of the peer's tokens, and return the user's."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    user, _ = User.objects.get_or_create(username="observer")
    return str(Token.objects.get_or_create(user=user)[0].key)


if __name__ == "__main__":
    sys.stdout.write(make_token() + "\n")
