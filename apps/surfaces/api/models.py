"""What the API itself keeps."""

from django.db import models

from apps.foundation.accounts.models import ApiClient
from apps.foundation.core.clock import now


class KeptAnswer(models.Model):
    """The answer to a request with an `Idempotency-Key`, to be given again. Digests are keyed; its body holds ids."""

    client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="+", db_index=False)
    key_digest = models.BinaryField(max_length=32)
    request_digest = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "key_digest"], name="kept_answer_once_per_key")]
        indexes = [models.Index(fields=["at"], name="kept_answer_oldest")]

    def __str__(self) -> str:
        return f"{self.status} of {self.at:%Y-%m-%d %H:%M:%S}"
