#!/bin/sh
# Makes the bucket and Lucida's user, who may do what it likes in this bucket and nothing elsewhere.
# Run in the service `minio-init`; running it again changes nothing. Parts of uploads that were broken off are removed
# by MinIO itself after a day; on AWS that takes a lifecycle rule (AbortIncompleteMultipartUpload).
set -eu
secret() { cat "/run/secrets/$1"; }

mc alias set store http://minio:9000 "$(secret minio_root_user)" "$(secret minio_root_password)" >/dev/null
mc mb --ignore-existing store/photos

cat >/tmp/policy.json <<'POLICY'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
      "Resource": ["arn:aws:s3:::photos"]
    },
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
      "Resource": ["arn:aws:s3:::photos/*"]
    }
  ]
}
POLICY
mc admin policy create store lucida /tmp/policy.json
mc admin user add store lucida "$(secret s3_secret_access_key)"
# Attaching what is attached already is an error, so it is detached first.
mc admin policy detach store lucida --user lucida 2>/dev/null || true
mc admin policy attach store lucida --user lucida
