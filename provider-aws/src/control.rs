//! Objects of the control bucket, read with their version and written under a condition on it.
//!
//! The control bucket is one per account and region, `mlplat-<account>-<region>-an`, in the account's own namespace where
//! nobody else can take the name. It outlives every set: it holds kilobytes, and the next apply needs it again.

use crate::error::{Outcome, code};
use crate::kind::s3_bucket;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use platform_core::value::PRODUCT;
use platform_core::{Error, ErrorKind, Result};

/// The control bucket of an account and region.
pub(crate) fn bucket(account: &str, region: &str) -> String {
    format!("{PRODUCT}{}", s3_bucket::account_tail(account, region))
}

/// One object, which may not be there.
#[derive(Clone, Debug)]
pub(crate) struct Object<'a> {
    pub(crate) s3: &'a Client,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) key: String,
}

/// What came of a conditional write.
#[derive(Debug)]
pub(crate) enum Put {
    /// The new ETag.
    Done(String),
    /// The condition did not hold.
    Lost,
}

impl Object<'_> {
    /// The bucket that it lies in.
    pub(crate) fn bucket(&self) -> String {
        bucket(self.account, self.region)
    }

    /// Its bytes and its ETag. `what` says in an error what could not be read.
    pub(crate) async fn get(&self, what: &str) -> Result<Option<(Vec<u8>, String)>> {
        let answer = self
            .s3
            .get_object()
            .bucket(self.bucket())
            .key(&self.key)
            .expected_bucket_owner(self.account)
            .send()
            .await
            .absent("s3:GetObject", &["NoSuchBucket", "NoSuchKey"])?;
        let Some(answer) = answer else { return Ok(None) };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let body = answer.body.collect().await.map_err(|cause| {
            Error::new(ErrorKind::Unavailable, format!("{what} could not be read: {cause}"))
                .with_operation("s3:GetObject")
        })?;
        Ok(Some((body.to_vec(), etag)))
    }

    /// Writes it if it still has this ETag, or is still missing.
    pub(crate) async fn put(&self, body: Vec<u8>, etag: Option<&str>) -> Result<Put> {
        let call = self
            .s3
            .put_object()
            .bucket(self.bucket())
            .key(&self.key)
            .expected_bucket_owner(self.account)
            .content_type("application/json")
            .body(ByteStream::from(body));
        let call = match etag {
            Some(etag) => call.if_match(etag),
            None => call.if_none_match("*"),
        };
        match call.send().await {
            Ok(answer) => Ok(Put::Done(answer.e_tag().unwrap_or_default().to_owned())),
            Err(error) => match code(&error) {
                // The last: If-Match on an object that is gone.
                "PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey" => Ok(Put::Lost),
                _ => Err(error).during("s3:PutObject"),
            },
        }
    }
}
