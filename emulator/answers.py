"""Refusals in the form of the protocol in which a call was made.

The forms are those that botocore's parsers read (`botocore/parsers.py`) and that Smithy's protocol definitions give:
AWS JSON 1.0/1.1, restJson1, restXml, AWS Query and EC2 Query.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Protocol
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from emulator import operations
from emulator.calls import MalformedRequestError, UnreadableRequestError

SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
# Of what cannot be parsed, by protocol. JSON's is Smithy's SerializationException, S3's and Query's are in their lists
# of common errors.
_MALFORMED = {
    "json": "SerializationException",
    "rest-json": "SerializationException",
    "rest-xml": "MalformedXML",
    "query": "MalformedInput",
    "ec2": "InvalidParameterValue",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error by which a service refuses a call: its code, what it says, and the status of HTTP."""

    code: str
    message: str
    status: int = 400

    def to(self, asked: Asked) -> Response:
        """Make the answer to a call."""
        return refusal(asked, self.code, self.message, self.status)


class Asked(Protocol):
    """Whatever says in which protocol a service was asked."""

    @property
    def service(self) -> str:
        """Give botocore's name of the service."""

    @property
    def protocol(self) -> str:
        """Give the protocol by botocore's name of it, such as `rest-json`."""


def refusal(asked: Asked | str, code: str, message: str, status: int = 400) -> Response:
    """An error of AWS's.

    Args:
        asked: the call, or botocore's name of a service, which is then answered in the protocol that its model has.
        code: of the error, such as `ValidationException`.
        message: for people.
        status: of HTTP.
    """
    service, protocol = (asked, _protocol(asked)) if isinstance(asked, str) else (asked.service, asked.protocol)
    request_id = str(uuid.uuid4())
    fault = "Receiver" if status >= SERVER_ERROR else "Sender"
    if protocol in {"query", "ec2", "rest-xml"}:
        words = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        if service == "s3":
            body = f"<Error>{words}<RequestId>{request_id}</RequestId></Error>"
        elif protocol == "ec2":
            body = f"<Response><Errors><Error>{words}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        else:
            inner = f"<Error><Type>{fault}</Type>{words}</Error><RequestId>{request_id}</RequestId>"
            body = f"<ErrorResponse>{inner}</ErrorResponse>"
        answer = Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{body}', status, content_type="text/xml")
        if service == "s3":
            answer.content_type = "application/xml"
            answer.headers["x-amz-request-id"] = request_id
    else:
        version = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
        answer = Response(json.dumps({"__type": code, "message": message}), status, content_type=version)
        answer.headers["x-amzn-ErrorType"] = code
    answer.headers["x-amzn-RequestId"] = request_id
    return answer


def unreadable(error: UnreadableRequestError) -> Response:
    """The refusal of a request that is no call: AWS's words for what is malformed, 501 for what no model has."""
    if isinstance(error, MalformedRequestError):
        return refusal(error, _MALFORMED.get(error.protocol, "SerializationException"), str(error))
    return not_implemented(error, str(error))


def not_implemented(asked: Asked, what: str) -> Response:
    """501 for what the emulator does not do: SDKs do not retry it, and show the reason."""
    return refusal(asked, "NotImplemented", f"not emulated: {what}", NOT_IMPLEMENTED)


def _protocol(service: str) -> str:
    model = operations.service_model(service)
    protocols = ["json"] if model is None else [str(model.protocol), *model.metadata.get("protocols", ())]
    return next(name for name in (*protocols, "json") if not name.startswith("smithy-"))
