"""Files that travel sealed: a saved plan holds every value in the clear, and many may read a pipeline's artifacts.

Envelope encryption: AES-256-GCM under a data key, which KMS made and alone can open again. What the file is for is part
of it, as KMS's encryption context, so that a key policy can say who opens what and nothing passes for something else.
"""

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scripts.core.errors import PlanRefused

MAGIC = b"winbatch sealed 1\n"
_NONCE = 12


def seal(kms: Any, key: str, content: bytes, context: Mapping[str, str]) -> bytes:
    """Encrypt.

    Args:
        kms: a client.
        key: the KMS key's id, ARN or alias.
        content: what nobody else is to read.
        context: what it is for.

    Returns:
        A line that says what this is, a line of JSON with the sealed data key, and the rest.
    """
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=dict(context))
    nonce = os.urandom(_NONCE)
    header = {"context": dict(context), "key": base64.b64encode(made["CiphertextBlob"]).decode()}
    line = json.dumps(header, sort_keys=True).encode() + b"\n"
    return MAGIC + line + nonce + AESGCM(made["Plaintext"]).encrypt(nonce, content, line)


def sealed(content: bytes) -> bool:
    """Whether a file is one of these."""
    return content.startswith(MAGIC)


def unseal(kms: Any, content: bytes, context: Mapping[str, str]) -> bytes:
    """Decrypt.

    Args:
        kms: a client.
        content: what `seal` made.
        context: what it must be for.

    Raises:
        PlanRefused: it is for something else, was changed, or KMS does not open it for this role.
    """
    line, newline, rest = content.removeprefix(MAGIC).partition(b"\n")
    try:
        header = json.loads(line)
        if header["context"] != dict(context):
            raise PlanRefused(f"the sealed plan is for {header['context']}, not for {dict(context)}")
        blob = base64.b64decode(header["key"])
        key = kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(context))["Plaintext"]
        return AESGCM(key).decrypt(rest[:_NONCE], rest[_NONCE:], line + newline)
    except (ValueError, KeyError, TypeError, InvalidTag) as error:
        raise PlanRefused("the sealed plan was changed or cut off: make a new one") from error
    except ClientError as error:
        raise PlanRefused(f"KMS does not open the sealed plan for this role ({error}): make a new one") from error
