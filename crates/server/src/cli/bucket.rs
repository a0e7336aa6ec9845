//! What names S3-compatible storage on the command line, for copies and for the audit log alike.

use clap::Args;
use serde_json::{Value as Json, json};

/// Where there is a place in object storage.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Bucket {
    /// S3-compatible object storage.
    #[arg(long, value_name = "URL", requires = "bucket", requires = "region")]
    endpoint: Option<String>,
    /// The bucket, which must be there.
    #[arg(long, requires = "endpoint")]
    bucket: Option<String>,
    /// Where in the bucket.
    #[arg(long, default_value = "", requires = "endpoint")]
    prefix: String,
    /// The region, in the provider's words.
    #[arg(long, requires = "endpoint")]
    region: Option<String>,
    /// The bucket is a part of the host's name, as AWS wants it.
    #[arg(long, requires = "endpoint")]
    virtual_hosted: bool,
}

impl Bucket {
    /// As the API wants it.
    pub fn location(&self, authority: Option<String>) -> Json {
        json!({
            "type": "bucket", "endpoint": self.endpoint, "bucket": self.bucket, "prefix": self.prefix,
            "region": self.region, "virtualHosted": self.virtual_hosted, "authority": authority,
        })
    }
}
