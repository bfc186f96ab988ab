"""An S3 server on loopback, moto's: a bucket, a user that may write to it and one that may only read."""

import json
import logging
import math
from typing import Any, Self

import boto3
from moto import settings
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

BUCKET = "study-models"
READING = ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"]


class S3:
    """`with S3() as server:` runs it; `server.writer` and `server.reader` are keys as AWS_... variables."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line a request
        self._server.start()
        self.port: int = self._server.get_host_and_port()[1]
        moto_api_backend.reset()  # moto has one store a process
        settings.INITIAL_NO_AUTH_ACTION_COUNT = math.inf
        self._client("s3").create_bucket(Bucket=BUCKET)
        self.writer = self._user("writer", ["s3:*"])
        self.reader = self._user("reader", READING)
        self._store = self._client("s3", **self.writer)
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # from now on keys and policies count
        return self

    def __exit__(self, *_: object) -> None:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = math.inf
        self._server.stop()

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Every object below a prefix, by its key."""
        pages = self._store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {key: self._store.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, content: bytes | None) -> None:
        """Store an object, or remove it."""
        if content is None:
            self._store.delete_object(Bucket=BUCKET, Key=key)
        else:
            self._store.put_object(Bucket=BUCKET, Key=key, Body=content)

    def _client(self, service: Any, **key: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=key.get("AWS_ACCESS_KEY_ID", "root"),
            aws_secret_access_key=key.get("AWS_SECRET_ACCESS_KEY", "root"),
        )

    def _user(self, name: str, actions: list[str]) -> dict[str, str]:
        iam = self._client("iam")
        iam.create_user(UserName=name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        }
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
