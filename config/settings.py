"""Settings, all from the environment, typed, read once. `docs/settings.md` explains each.

A missing or malformed variable stops the start with a message that names it.
Defaults are those of production; the demo and the tests change values, never code.
"""

from os import cpu_count
from pathlib import Path

from celery.schedules import crontab
from environs import Env, validate

from .brokers import kafka_properties_read
from .counts import counts_read
from .inbound import inbound_systems_read
from .keys import lookup_keys_read, master_keys_read
from .languages import languages_read
from .limits import contact_limits_read, item_limit_read
from .naming import patterns_read
from .pace import send_limits_read
from .providers import dkim_keys_read, mail_hooks_read, mail_providers_read, sms_providers_read
from .unfold import UNFOLD as UNFOLD

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- what every installation says for itself ---
SECRET_KEY = env.str("SECRET_KEY")
REDIS_URL = env.str("REDIS_URL")
BASE_URL = env.str("BASE_URL").rstrip("/")
"""Where customers reach Tessera: links in messages begin with it."""
LINK_KEYS: list[str] = env.list("LINK_KEYS")
"""Keys that sign links in messages, `id:secret` each; the first signs, all verify."""
ADDRESS_KEY = env.str("ADDRESS_KEY")
"""Key of the digests by which addresses are looked up and suppressed: version 1 of `LOOKUP_KEYS`. Never change it."""
LOOKUP_KEYS = lookup_keys_read(env.list("LOOKUP_KEYS", []), ADDRESS_KEY)
"""Keys of those digests by version: new digests carry the first, lookups try all."""
MASTER_KEYS = master_keys_read(env.list("MASTER_KEYS"))
"""Keys that wrap each person's data key, by id: the first wraps, all unwrap."""
LEDGER_KEY = (env.str("LEDGER_KEY", "") or f"ledger:{ADDRESS_KEY}").encode()
"""Key of the seals and links of the consent ledger, and of the signature of its heads."""
SMTP_URL = env.str("SMTP_URL")
"""The relay that takes the mail: `smtp://[user:password@]host:port`, `smtps://` for TLS from the start."""
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "var")))
"""Folder for uploads, error files of imports and the senders' journals; local to each machine."""
LEDGER_HEADS_DIR = Path(env.str("LEDGER_HEADS_DIR", str(DATA_DIR / "ledger-heads")))
"""Folder for the signed heads of the consent ledger: outside the database, best on another machine or write-once."""
HTTPS_ONLY = env.bool("HTTPS_ONLY", True)
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS")
STAFF_MAIL_FROM = env.str("STAFF_MAIL_FROM", "")
"""Sender of e-mails to staff (notices of reviews); empty: notices are shown in the admin alone."""
APP_DB_ROLE = env.str("APP_DB_ROLE", "")
"""The database role that web and workers use; `migrate`, run by the owner, grants it its rights."""

DATABASES = {"default": env.dj_db_url("DATABASE_URL", conn_max_age=600, conn_health_checks=True)}

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.guardian",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django_htmx",
    "guardian",
    "reversion",
    "apps.foundation.core",
    "apps.foundation.accounts",
    "apps.foundation.governance",
    "apps.data.profiles",
    "apps.data.consent",
    "apps.data.privacy",
    "apps.data.catalog",
    "apps.data.events",
    "apps.data.features",
    "apps.data.imports",
    "apps.data.inbound",
    "apps.decisioning.audiences",
    "apps.decisioning.content",
    "apps.decisioning.recommendations",
    "apps.decisioning.playbooks",
    "apps.decisioning.decisions",
    "apps.delivery.channels",
    "apps.delivery.webhooks",
    "apps.delivery.sending",
    "apps.insight.monitoring",
    "apps.surfaces.tracking",
    "apps.surfaces.signups",
    "apps.surfaces.preferences",
    "apps.surfaces.console",
    "apps.surfaces.api",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "apps.foundation.core.middleware.RequestIdMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
# Addresses that are asked a thousand times a second, by programs: see `core.straight`.
STRAIGHT = {"POST /api/v1/decisions": "apps.surfaces.api.v1.decisions.asking.decisions_ask"}

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
ANONYMOUS_USER_NAME = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGES = languages_read(LOCALE_PATHS[0])
"""Of the customers' pages: English, and each that has a folder in `locale`. Staff's pages are in English."""
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DATA_DIR / "uploads")},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

# --- transport security ---
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("TRUST_FORWARDED_PROTO", False) else None
PROXIES = env.int("PROXIES", 0)
"""How many proxies of our own stand in front, each adding whom it saw to X-Forwarded-For."""
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
CSRF_TRUSTED_ORIGINS = [BASE_URL]
X_FRAME_OPTIONS = "DENY"

# --- background work: Celery wakes it, PostgreSQL is the record of it ---
CELERY_BROKER_URL = env.str("BROKER_URL", REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_ROUTES = {
    "apps.data.imports.*": {"queue": "ingest"},
    "apps.data.inbound.*": {"queue": "ingest"},
    "apps.data.profiles.tasks.attribute*": {"queue": "maintenance"},
    # What one person waits for is short, and must not wait behind a campaign.
    "apps.data.profiles.*": {"queue": "track"},
    "apps.decisioning.playbooks.tasks.mails_tick": {"queue": "track"},
    "apps.decisioning.decisions.tasks.mail_decide": {"queue": "track"},
    "apps.decisioning.*": {"queue": "decide"},
    "apps.delivery.sending.tasks.window_send": {"queue": "send"},
    "apps.delivery.sending.tasks.urgent_send": {"queue": "track"},
    "apps.delivery.webhooks.*": {"queue": "track"},
    "apps.surfaces.tracking.*": {"queue": "track"},
    "apps.surfaces.console.tasks.dry_run_go": {"queue": "decide"},
    "apps.surfaces.console.tasks.own_test_hand_over": {"queue": "send"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "start due runs": {"task": "apps.decisioning.playbooks.tasks.runs_start_due", "schedule": 15.0},
    "move journeys on": {"task": "apps.decisioning.playbooks.tasks.journeys_tick", "schedule": 10.0},
    "look up addresses": {"task": "apps.data.profiles.tasks.links_answer", "schedule": 10.0},
    "order changes": {"task": "apps.data.profiles.tasks.changes_order", "schedule": 2.0},
    "seal attributes": {"task": "apps.data.profiles.tasks.attributes_sweep", "schedule": 60.0},
    "merge by verified addresses": {"task": "apps.data.profiles.tasks.verified_merge", "schedule": 60.0},
    "look who may be one": {"task": "apps.data.profiles.tasks.candidates_find", "schedule": crontab(hour=3, minute=23)},
    "measure the data": {
        "task": "apps.insight.monitoring.tasks.quality_measure",
        "schedule": crontab(hour=2, minute=11),
    },
    "look at addresses ahead": {"task": "apps.insight.monitoring.tasks.lists_tick", "schedule": 120.0},
    "carry system mail": {"task": "apps.decisioning.playbooks.tasks.mails_tick", "schedule": 10.0},
    "look for triggers": {"task": "apps.decisioning.playbooks.tasks.triggers_tick", "schedule": 15.0},
    "look at watched audiences": {"task": "apps.decisioning.audiences.tasks.audiences_tick", "schedule": 60.0},
    "precompute what comes next": {
        "task": "apps.decisioning.decisions.tasks.scheduled_precompute",
        "schedule": crontab(minute=17),
    },
    "tend the tables of answers": {"task": "apps.decisioning.decisions.tasks.answers_tend", "schedule": 3600.0},
    "tend the tables of events": {"task": "apps.data.events.tasks.partitions_tend", "schedule": 3600.0},
    "void stale copies of features": {
        "task": "apps.data.features.tasks.stale_copies_sweep",
        "schedule": 10.0,
    },
    "take up imports": {"task": "apps.data.imports.tasks.imports_sweep", "schedule": 60.0},
    "ask inbound systems": {"task": "apps.data.inbound.tasks.systems_ask", "schedule": 15.0},
    "look for digests": {"task": "apps.decisioning.decisions.tasks.digests_tick", "schedule": 30.0},
    "re-drive decisions": {"task": "apps.decisioning.decisions.tasks.decisions_sweep", "schedule": 10.0},
    "record awaited withdrawals": {"task": "apps.data.consent.tasks.awaited_apply", "schedule": 60.0},
    "link the consent ledger": {"task": "apps.data.consent.tasks.ledger_link", "schedule": 10.0},
    "take up rights requests": {"task": "apps.data.privacy.tasks.requests_sweep", "schedule": 60.0},
    "forget by retention": {"task": "apps.data.privacy.tasks.retention_work", "schedule": crontab(minute=41)},
    "carry news out": {"task": "apps.delivery.webhooks.tasks.webhooks_deliver", "schedule": 5.0},
    "take what was seen": {"task": "apps.surfaces.tracking.tasks.seen_take", "schedule": 2.0},
    "re-drive sending": {"task": "apps.delivery.sending.tasks.sending_sweep", "schedule": 10.0},
    "re-drive rehearsals": {"task": "apps.surfaces.console.tasks.rehearsals_sweep", "schedule": 20.0},
    "count large runs": {"task": "apps.surfaces.console.tasks.runs_count", "schedule": 60.0},
    "mail notices": {"task": "apps.surfaces.console.tasks.notices_mail", "schedule": 60.0},
    "refresh recommendations": {
        "task": "apps.decisioning.recommendations.tasks.recommendations_refresh",
        "schedule": crontab(minute=7),
    },
}

# --- content ---
BLOCK_NAME_PATTERNS = patterns_read(env.json("BLOCK_NAME_PATTERNS", {}))
"""What a block may be called, by tier (`foundation`, `campaign`, `personal`, `*` for the others): pattern and words."""

# --- identity ---
MERGE_PROBABILITY = env.float("MERGE_PROBABILITY", 0.9999)
"""How likely two profiles must be one person by the model to be merged without a look; above 1: never."""
MATCHING_PEOPLE = env.int("MATCHING_PEOPLE", 50_000)
"""How many people are compared with each other, those that changed last."""

# --- data quality ---
QUALITY_LEAST = env.float("QUALITY_LEAST", 0.8)
"""A measure below this share is shown as one that needs mending."""
LIST_CHECK_HOURS = env.float("LIST_CHECK_HOURS", 24.0)
"""How long before a scheduled run its addresses are looked at; 0: not at all."""
LIST_AGAIN_HOURS = env.float("LIST_AGAIN_HOURS", 2.0)
"""How long before it those are looked at again that are new, or of which what was found is no longer good."""
LIST_DNS_PER_SECOND = env.float("LIST_DNS_PER_SECOND", 50.0)
"""Domains that are asked about in a second while the addresses of a list are looked at."""
LIST_SILENT_MONTHS = env.int("LIST_SILENT_MONTHS", 12)
"""After so many months without a sign of life an address counts as silent; 0: never."""
LIST_SILENT_WITHHOLDS = env.bool("LIST_SILENT_WITHHOLDS", False)
"""Whether a silent address gets nothing that needs consent; else it is a word of caution."""

# --- rehearsals ---
DRY_RUN_PEOPLE = env.int("DRY_RUN_PEOPLE", 20_000)
"""People whom a dry run decides about: all of a smaller audience, of a larger one so many drawn by lot."""
DRY_RUN_KEEP_HOURS = env.int("DRY_RUN_KEEP_HOURS", 72)
"""How long a dry run keeps who its samples are; its figures stay."""
TEST_SENDS_PER_HOUR = env.int("TEST_SENDS_PER_HOUR", 20)
"""Tests that one member of staff may have sent to themselves within an hour."""

# --- addresses ---
DNS_SERVERS: list[str] = env.list("DNS_SERVERS", [])
"""Name servers that are asked whether a domain takes mail, `host` or `host:port`; empty: the machine's own."""
MAIL_HOST_SECONDS = env.float("MAIL_HOST_SECONDS", 1.0)
"""Seconds in all for that question; what isn't known by then is not held against an address."""

# --- privacy: how long things are kept, in days; 0 for as long as the person is known ---
CONTROLLER = env.str("CONTROLLER", "")
"""Who answers for the processing: name, address, how to reach them and their data protection officer."""
EXPORT_KEEP_DAYS = env.int("EXPORT_KEEP_DAYS", 7)
"""Within which a person's export can be fetched; then it is removed."""
ADDRESS_VERDICT_KEEP_DAYS = env.int("ADDRESS_VERDICT_KEEP_DAYS", 90)
"""How long it is kept what an e-mail address was found to be, once that is no longer good."""
RIGHTS_REQUEST_KEEP_DAYS = env.int("RIGHTS_REQUEST_KEEP_DAYS", 1095)
"""How long requests that were answered are kept, to be able to show it."""

ADDRESS_CHANGE_DAYS = env.int("ADDRESS_CHANGE_DAYS", 2)
"""Within which a new address is confirmed by the mail to it."""
ADDRESS_TAKE_BACK_DAYS = env.int("ADDRESS_TAKE_BACK_DAYS", 7)
"""Within which the holder of the old address can take a change back."""
ADDRESS_CHANGES_PER_DAY = env.int("ADDRESS_CHANGES_PER_DAY", 3)
"""Mails that ask for such a confirmation which one person, and which one address, gets in a day."""
ADDRESS_CHANGE_KEEP_DAYS = env.int("ADDRESS_CHANGE_KEEP_DAYS", 30)
"""After which a change of address that is over is forgotten, with the old address."""

EVENT_KEEP_DAYS = env.int("EVENT_KEEP_DAYS", 1095)
"""Events are deleted so long after they were written down."""
ORDER_KEEP_DAYS = env.int("ORDER_KEEP_DAYS", 0)
"""Orders lose the person so long after they were placed; the order itself stays."""
IMPORT_FILE_KEEP_DAYS = env.int("IMPORT_FILE_KEEP_DAYS", 30)
"""Uploaded files and errors files are removed so long after their import ended."""

# --- consent ---
OPT_IN_DAYS = env.int("OPT_IN_DAYS", 7)
"""Days within which somebody must confirm what they asked for on a form."""
OPT_IN_MAILS = env.int("OPT_IN_MAILS", 3)
"""Mails asking for such a confirmation that one address gets within a day."""
OPT_IN_KEEP_DAYS = env.int("OPT_IN_KEEP_DAYS", 30)
"""Days after which an opt-in that is over is forgotten; the grants that came of it stay in the ledger."""
PLATFORM_NOTICE_KEEP_DAYS = env.int("PLATFORM_NOTICE_KEEP_DAYS", 30)
"""Days for which it is kept which messages of consent platforms were taken; the choices stay."""
CONSENT_ORIGIN_DAYS = env.int("CONSENT_ORIGIN_DAYS", 365)
"""Days for which the IP address and user agent of a choice are kept, sealed; the choice itself stays."""

# --- sign-up ---
SIGN_UPS_PER_HOUR = env.int("SIGN_UPS_PER_HOUR", 30)
"""Sign-ups that are taken from one network within an hour."""
SIGN_UPS_PER_ADDRESS = env.int("SIGN_UPS_PER_ADDRESS", 5)
"""Sign-ups of one address within a day; more are answered alike, and nothing comes of them."""
SIGN_UP_SECONDS = env.float("SIGN_UP_SECONDS", 2.0)
"""Who posts the sign-up page sooner after it was shown is asked to press the button again."""
SIGN_UP_WAIT_DAYS = env.int("SIGN_UP_WAIT_DAYS", 30)
"""Days after which a sign-up that nobody confirmed is forgotten, with the profile that it began."""

# --- decisions ---
BULK_CONDITIONS = env.int("BULK_CONDITIONS", 40)
"""Conditions that a message of a bulk playbook may have, its subject, HTML and text together."""

# --- events ---
EVENT_REDIS_URL = env.str("EVENT_REDIS_URL", REDIS_URL)
"""The Redis that holds events until they are written down: give it one of its own with `appendfsync always`."""
EVENT_BATCH_COUNT = env.int("EVENT_BATCH_COUNT", 1_000)
"""Events that make a micro-batch full."""
EVENT_BATCH_SECONDS = env.float("EVENT_BATCH_SECONDS", 0.2)
"""How long a micro-batch gathers after its first event, 60 at most."""
EVENT_CLAIM_SECONDS = env.int("EVENT_CLAIM_SECONDS", 30)
"""How long beyond a batch's time events lie with a consumer until another takes them for dead and takes them over."""
EVENT_STREAM_LIMIT = env.int("EVENT_STREAM_LIMIT", 1_000_000)
"""Events that may wait; more are answered with 503 and Retry-After."""
EVENT_STREAM_BYTES = env.int("EVENT_STREAM_BYTES", 512_000_000)
"""Bytes that may wait, as they are in Redis."""
EVENT_BODY_LIMIT = env.int("EVENT_BODY_LIMIT", 1_000_000)
"""Bytes of one request with events, unpacked."""
EVENT_BROKER_KEY = env.str("EVENT_BROKER_KEY", "")
"""The key of the client of the API whose events come from a broker (`manage.py events_source`)."""
EVENT_RABBITMQ_URL = env.str("EVENT_RABBITMQ_URL", "")
"""Where RabbitMQ is, for events that come from a queue."""
EVENT_KAFKA = kafka_properties_read(env.json("EVENT_KAFKA", {}))
"""Properties of librdkafka, for events that come from topics of Kafka."""
EVENT_DEAD_LETTER_KEEP_DAYS = env.int("EVENT_DEAD_LETTER_KEEP_DAYS", 90)
"""Dead letters are deleted so long after they were set aside."""

# --- inbound ---
INBOUND_SYSTEMS = inbound_systems_read(env.json("INBOUND_SYSTEMS", {}))
"""Systems that tell us things by webhook, or are asked, each by its code: kind, mapping and what else it needs."""
LIVE_SECONDS = env.float("LIVE_SECONDS", 0.1)
"""How long a transactional decision waits for the live source, for all items together; others never ask it."""
INBOUND_MARK_KEEP_DAYS = env.int("INBOUND_MARK_KEEP_DAYS", 400)
"""Days for which it is known how new what we know of an order, cart, ticket or customer of theirs is."""

# --- imports ---
IMPORT_PROCESSES = env.int("IMPORT_PROCESSES", min(4, cpu_count() or 1))
"""Processes that read a large file of people, beside the one that imports it; 0 for none."""
IMPORT_UPLOAD_LIMIT = env.int("IMPORT_UPLOAD_LIMIT", 2_000_000_000)
"""Bytes of a file that may be brought in through the admin; the commands take any size."""

# --- live pages ---
LIVE_STREAMS = env.int("LIVE_STREAMS", 800)
"""Streams that one ASGI process holds open for customers' pages, staff's not counted; each takes a file descriptor."""

# --- webhooks ---
WEBHOOK_INSIDE_HOSTS: list[str] = env.list("WEBHOOK_INSIDE_HOSTS", [])
"""Hosts of one's own network that webhooks may go to; all others must have public addresses and TLS."""
WEBHOOK_KEEP_DAYS = env.int("WEBHOOK_KEEP_DAYS", 30)
"""Days after which news that was carried out, or given up, is deleted."""
# --- triggers of playbooks ---
TRIGGER_LATE_MINUTES = env.int("TRIGGER_LATE_MINUTES", 1440)
"""An event that happened longer ago than this when it is looked at begins no journey."""
TRIGGER_OVERLAP_MINUTES = env.int("TRIGGER_OVERLAP_MINUTES", 60)
"""How far back of the last look events are looked for: a transaction that takes longer to record one is too late."""
TRIGGER_AUDIENCE_MINUTES = env.int("TRIGGER_AUDIENCE_MINUTES", 5)
"""Minutes between two looks at who entered an audience."""

# --- digests ---
# Percent of people who get nothing of any playbook that needs consent: against them it is seen what messages bring.
CONTACT_LIMITS = contact_limits_read(env.json("CONTACT_LIMITS", []))
"""How many messages one person may get across playbooks and channels."""
ITEM_LIMIT = item_limit_read(env.json("ITEM_LIMIT", None))
"""How often messages may show one item to one person."""
ITEM_SHOWN_KEEP_DAYS = env.int("ITEM_SHOWN_KEEP_DAYS", 92)
"""How long it is known which items messages showed; at least as long as the limit looks back."""
ANSWER_KEEP_DAYS = env.int("ANSWER_KEEP_DAYS", 90)
"""How long it is kept what pages and apps asked about people, and what was answered."""
PRECOMPUTE_AHEAD_MINUTES = env.int("PRECOMPUTE_AHEAD_MINUTES", 90, validate=validate.Range(min=0, max=1440))
"""So long before a schedule comes, what its send looks at of people is put into Redis; asked hourly. 0: never."""
PRECOMPUTED_SECONDS = env.int("PRECOMPUTED_SECONDS", 5 * 3_600, validate=validate.Range(min=60, max=86_400))
"""How long choices that were made ahead stay in Redis."""
DECISION_KEEP_DAYS = env.int(
    "DECISION_KEEP_DAYS", 0, validate=lambda days: validate.Range(min=100)(days) if days else days
)
"""How long it is kept what runs decided and why; 0 for as long as the person is known."""
ANSWER_SECONDS = env.float("ANSWER_SECONDS", 0.2, validate=validate.Range(min=0.02, max=10))
"""Within so long whoever asks for decisions has an answer, a generic one if need be."""
ANSWER_CONNECTIONS = env.int("ANSWER_CONNECTIONS", 8, validate=validate.Range(min=1, max=64))
"""Connections to PostgreSQL by which a web process answers who asks for decisions: so many answers at the same time."""
ANSWER_TTL_SECONDS = env.int("ANSWER_TTL_SECONDS", 300)
"""How long an answer may be shown."""
HOLDOUT_PERCENT = env.float("HOLDOUT_PERCENT", 0, validate=validate.Range(min=0, max=50))
DIGEST_HOUR = env.int("DIGEST_HOUR", 9, validate=validate.Range(min=0, max=23))
"""The hour, from 0 to 23 on the person's wall, at which digests go out."""
DIGEST_WEEKDAY = env.str(
    "DIGEST_WEEKDAY", "thu", validate=validate.OneOf(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
)
"""The day of weekly digests: mon, tue, wed, thu, fri, sat or sun."""
DIGEST_PIECES = env.int("DIGEST_PIECES", 8)
"""Messages that one digest shows at most, the newest; the others are left out, with the reason."""
DIGEST_KEEP_HOURS = env.int("DIGEST_KEEP_HOURS", 192)
"""Hours for which a collected message is good, at least; longer where its run may send for longer."""
DIGEST_PIECE_KEEP_DAYS = env.int("DIGEST_PIECE_KEEP_DAYS", 90)
"""Days after which it is forgotten what became of a collected message; the decision about it stays."""
# --- caches of a process: never beyond a change, and never older than this ---
CACHE_SITE_SECONDS = env.int("CACHE_SITE_SECONDS", 86_400)
"""What is published, purposes, definitions of attributes, clients of the API."""
CACHE_CATALOG_SECONDS = env.int("CACHE_CATALOG_SECONDS", 3_600)
"""Items as they are shown."""
CACHE_RECOMMENDATIONS_SECONDS = env.int("CACHE_RECOMMENDATIONS_SECONDS", 6 * 3_600)
"""Which set of recommendations is the newest."""
CHOICES_IN_MEMORY = env.int("CHOICES_IN_MEMORY", 5_000)
"""Choices that a process keeps for whoever is alike, some 4 kB each."""
METRICS_KEY = env.str("METRICS_KEY", "")
"""What Prometheus brings to `/metrics` as a bearer; empty: there are no figures to be had."""
# --- the API ---
API_PER_MINUTE = env.int("API_PER_MINUTE", 1200)
"""What a client may ask for in one scope within a minute, where nothing else is said: requests, and of those that hold
several events, rows or decisions each of these."""
_BULK_SCOPES = ("profiles", "consents", "items", "promotions", "tickets")
API_PER_MINUTE_OF = {
    "events:write": 600_000,
    "decisions:make": 600_000,
    **dict.fromkeys((f"{name}:write" for name in _BULK_SCOPES), 30_000),
    **counts_read("API_PER_MINUTE_OF", env.json("API_PER_MINUTE_OF", {})),
}
"""The same for single scopes."""
TICKET_KEEP_DAYS = env.int("TICKET_KEEP_DAYS", 365)
"""Support tickets are deleted so long after they were closed."""
IDEMPOTENCY_KEEP_DAYS = env.int("IDEMPOTENCY_KEEP_DAYS", 1)
"""Days for which answers to requests with an Idempotency-Key are kept; they are given again for 24 hours."""
CHANGE_KEEP_DAYS = env.int("CHANGE_KEEP_DAYS", 30)
"""How long the feed of changes goes back."""
REST_FRAMEWORK: dict[str, object] = {
    "DEFAULT_SCHEMA_CLASS": "apps.surfaces.api.schema.ApiSchema",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_AUTHENTICATION_CLASSES": [],
}
SPECTACULAR_SETTINGS: dict[str, object] = {
    "ENUM_NAME_OVERRIDES": {
        "IdentifierKindEnum": "apps.data.profiles.models.Identifier.Kind",
        "ImportKindEnum": "apps.data.imports.models.Import.Kind",
        "ChannelEnum": "apps.data.consent.models.Channel",
        "TemplateChannelEnum": "apps.decisioning.content.models.Template.Channel",
    },
    "TITLE": "Tessera",
    "VERSION": "1",
    "DESCRIPTION": "People, what they agreed to, and what they get. `docs/how-it-works/api.md` says more.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.surfaces.api.schema.document_complete",
    ],
    "DISABLE_ERRORS_AND_WARNINGS": False,
}

PREFERENCES_LINK_DAYS = env.int("PREFERENCES_LINK_DAYS", 90)
"""Days for which the link of a message opens the preferences; a link to unsubscribe never ends."""
LINK_ASKS_PER_ADDRESS = env.int("LINK_ASKS_PER_ADDRESS", 3)
"""Links that may be asked for by typing in one address, within an hour."""
LINK_ASKS_PER_NETWORK = env.int("LINK_ASKS_PER_NETWORK", 30)
"""Links that may be asked for from one IP address (of IPv6 its /64), within an hour."""
SYSTEM_MAIL_KEEP_DAYS = env.int("SYSTEM_MAIL_KEEP_DAYS", 90)
"""Days after which it is forgotten what a system mail was about; the links in it that need that end with it."""

# --- sending ---
MAIL_PROVIDERS = mail_providers_read(env.json("MAIL_PROVIDERS", ["smtp"]))
"""Who takes the mail, the preferred one first: the next takes over where one fails."""
SMS_PROVIDERS = sms_providers_read(env.json("SMS_PROVIDERS", []))
"""Who takes SMS, the preferred one first; empty: messages by SMS wait, and are withheld as too late."""
PUSH_KEY = env.str("PUSH_KEY", "")
"""The private key by which browsers know us (VAPID); empty: messages by push wait, and are withheld as too late."""
PUSH_CONTACT = env.str("PUSH_CONTACT", "")
"""Whom a push service writes to when something is wrong, `mailto:` or `https:`; empty: BASE_URL."""
SMS_SEGMENTS = env.int("SMS_SEGMENTS", 6)
"""Segments that one SMS may have: each is paid for."""
SEND_LIMITS = send_limits_read(env.json("SEND_LIMITS", {}))
"""How much may go by a provider and to a domain, a minute and a day, and how that grows at first."""
DKIM_KEYS = dkim_keys_read(env.json("DKIM_KEYS", {}))
"""Private keys that sign mail: domain, selector, and the path of a PEM file. Empty: the relay signs, or nobody does."""
SEND_WINDOW = env.int("SEND_WINDOW", 200)
"""Messages that pass the gate in one transaction; a lost host leaves at most one window uncertain."""
SEND_CLAIM = env.int("SEND_CLAIM", 400)
"""Messages that a sender claims at once."""
SEND_LEASE_SECONDS = env.int("SEND_LEASE_SECONDS", 900)
"""How long a claim holds, by the database's clock; above SMTP's time-outs (RFC 5321, 4.5.3.2)."""
SENDER_DEAD_SECONDS = env.int("SENDER_DEAD_SECONDS", 15)
"""A sender of this host without a heartbeat for so long, and without a process, is settled from its journal."""
SEND_MAX_ATTEMPTS = env.int("SEND_MAX_ATTEMPTS", 8)
"""Tries of a message that the relay defers each time, before it counts as failed."""
SEND_RETRY_SECONDS = env.int("SEND_RETRY_SECONDS", 60)
"""Pause before the second try; it doubles with each, up to an hour."""

# --- what comes back ---
BOUNCE_DOMAIN = env.str("BOUNCE_DOMAIN", "")
"""Domain of the return paths, whose mail comes here; empty: bounces go to each brand's sender."""
MAIL_HOOKS = mail_hooks_read(env.json("MAIL_HOOKS", {}))
"""Mail providers that report by webhook, and by what each is known."""
TRACKING_SETTLE_SECONDS = env.float("TRACKING_SETTLE_SECONDS", 15.0)
"""Seconds that clicks and opens wait, so that machines can be told from people by what else they do."""
SOFT_BOUNCES = env.int("SOFT_BOUNCES", 5)
"""So many messages in a row that bounced for now, with none that arrived between, and the address is suppressed."""
SOFT_BOUNCE_DAYS = env.int("SOFT_BOUNCE_DAYS", 30)
"""Days within which they count."""
MESSAGE_EVENT_KEEP_DAYS = env.int("MESSAGE_EVENT_KEEP_DAYS", 1095)
"""Days after which it is forgotten what came back of a message; its state and suppressions stay."""
EVENT_RAW_KEEP_DAYS = env.int("EVENT_RAW_KEEP_DAYS", 30)
"""Days for which bounces and providers' reports are kept to the letter, sealed."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "apps.foundation.core.reporting.PlainFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        # Django's own handlers would write and mail what happened with its values
        "django": {"handlers": []},
        "django.server": {"handlers": [], "propagate": True},
        "django.db.backends": {"level": "INFO"},  # never a statement with its values
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
}
