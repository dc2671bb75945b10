"""What S3 refuses before it looks at a bucket: addresses that have expired, contents that arrived damaged.

moto takes both, and takes a sub-resource that it does not know for the bucket or the object itself: `PUT
/bucket?analytics` makes a bucket.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from crc32c import crc32c

from emulator.answers import Refusal
from emulator.calls import Call
from emulator.http import Environ
from emulator.operations import environ_key

# The operations behind which moto has something of its own. What else S3's model has, moto answers with an object, a
# listing or a bucket.
EMULATED = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteBucket",
        "DeleteBucketCors",
        "DeleteBucketEncryption",
        "DeleteBucketLifecycle",
        "DeleteBucketOwnershipControls",
        "DeleteBucketPolicy",
        "DeleteBucketReplication",
        "DeleteBucketTagging",
        "DeleteBucketWebsite",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "DeletePublicAccessBlock",
        "GetBucketAccelerateConfiguration",
        "GetBucketAcl",
        "GetBucketCors",
        "GetBucketEncryption",
        "GetBucketInventoryConfiguration",
        "GetBucketLifecycleConfiguration",
        "GetBucketLocation",
        "GetBucketLogging",
        "GetBucketNotificationConfiguration",
        "GetBucketOwnershipControls",
        "GetBucketPolicy",
        "GetBucketPolicyStatus",
        "GetBucketReplication",
        "GetBucketRequestPayment",
        "GetBucketTagging",
        "GetBucketVersioning",
        "GetBucketWebsite",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectLockConfiguration",
        "GetObjectTagging",
        "GetPublicAccessBlock",
        "HeadBucket",
        "HeadObject",
        "ListBucketInventoryConfigurations",
        "ListBuckets",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutBucketAccelerateConfiguration",
        "PutBucketAcl",
        "PutBucketCors",
        "PutBucketEncryption",
        "PutBucketInventoryConfiguration",
        "PutBucketLifecycleConfiguration",
        "PutBucketLogging",
        "PutBucketNotificationConfiguration",
        "PutBucketOwnershipControls",
        "PutBucketPolicy",
        "PutBucketReplication",
        "PutBucketTagging",
        "PutBucketVersioning",
        "PutBucketWebsite",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
        "PutObjectRetention",
        "PutObjectTagging",
        "PutPublicAccessBlock",
        "RestoreObject",
        "SelectObjectContent",
        "UploadPart",
        "UploadPartCopy",
    }
)
_TIME = "%Y%m%dT%H%M%SZ"
_CHUNKED = "STREAMING-"


def _digest(name: str) -> Callable[[bytes], bytes]:
    return lambda body: hashlib.new(name, body, usedforsecurity=False).digest()


# CRC64NVME is taken as it comes: only awscrt has it, which every start of botocore would then load.
_CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "CRC32C": lambda body: crc32c(body).to_bytes(4, "big"),
    "SHA1": _digest("sha1"),
    "SHA256": _digest("sha256"),
}
_HEADERS = {f"HTTP_X_AMZ_CHECKSUM_{name}": name for name in _CHECKSUMS}


def refused(call: Call, environ: Environ) -> Refusal | None:
    """What S3 answers to a request before it acts; None when it goes on.

    Raises:
        NotImplementedError: the emulator has nothing behind the operation
    """
    if call.operation not in EMULATED:
        raise NotImplementedError("S3's sub-resource of that name")
    query = environ.get("QUERY_STRING", "")
    if "Expires=" in query and (gone := _expired(query)):
        return gone
    if environ["REQUEST_METHOD"] in {"PUT", "POST"}:
        if environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith(_CHUNKED):
            try:
                _put_together(environ)
            except ValueError:
                return Refusal("IncompleteBody", "The request body terminated unexpectedly")
        return _damaged(environ)
    return None


def _expired(query: str) -> Refusal | None:
    values = {name: given[0] for name, given in parse_qs(query).items()}
    now = datetime.now(UTC)
    try:
        if "X-Amz-Expires" in values:
            signed = datetime.strptime(values["X-Amz-Date"], _TIME).replace(tzinfo=UTC)
            end = signed + timedelta(seconds=int(values["X-Amz-Expires"]))
        elif "Expires" in values and "Signature" in values:
            end = datetime.fromtimestamp(int(values["Expires"]), UTC)
        else:
            return None
    except (KeyError, ValueError, OverflowError) as error:
        return Refusal("AuthorizationQueryParametersError", f"The presigned address cannot be read: {error}")
    return Refusal("AccessDenied", "Request has expired", 403) if now > end else None


def _damaged(environ: Environ) -> Refusal | None:
    """The refusal of a body that is not what its checksums say."""
    told = [(header, name) for header, name in _HEADERS.items() if header in environ]
    md5 = environ.get("HTTP_CONTENT_MD5")
    if not told and md5 is None:
        return None
    body: bytes = environ["wsgi.input"].getvalue()
    if md5 is not None:
        try:
            wanted = base64.b64decode(md5, validate=True)
        except binascii.Error:
            wanted = b""
        found = hashlib.md5(body, usedforsecurity=False).digest()
        if len(wanted) != len(found):
            return Refusal("InvalidDigest", "The Content-MD5 you specified is not valid.")
        if not hmac.compare_digest(wanted, found):
            return Refusal("BadDigest", "The Content-MD5 you specified did not match what we received.")
    for header, name in told:
        if base64.b64encode(_CHECKSUMS[name](body)).decode() != environ[header].strip():
            return Refusal("BadDigest", f"The {name} you specified did not match the calculated checksum.")
        # moto keeps a checksum whose algorithm is named beside it, as AWS's SDKs do.
        environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", name)
    return None


def _put_together(environ: Environ) -> None:
    """Let a body that came in AWS's chunks be as if it had come in one piece, with what follows it among the headers.

    A chunk is its size in hexadecimal digits, perhaps a signature behind a semicolon, a line's end, its bytes, and a
    line's end (S3's guide, "Signature calculations for the authorization header: transferring a payload in multiple
    chunks"). moto reads one chunk.

    Raises:
        ValueError: a size is none
    """
    body: bytes = environ["wsgi.input"].getvalue()
    parts, at = [], 0
    while size := int(body[at : (end := body.index(b"\r\n", at))].partition(b";")[0], 16):
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    for line in body[end + 2 :].decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        if name.lower().startswith("x-amz-checksum-"):
            environ[environ_key(name)] = value.strip()
    whole = b"".join(parts)
    environ["wsgi.input"] = io.BytesIO(whole)
    environ["CONTENT_LENGTH"] = str(len(whole))
    environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
    encodings = [name.strip() for name in environ.pop("HTTP_CONTENT_ENCODING", "").split(",")]
    if kept := [name for name in encodings if name not in {"", "aws-chunked"}]:
        environ["HTTP_CONTENT_ENCODING"] = ",".join(kept)
