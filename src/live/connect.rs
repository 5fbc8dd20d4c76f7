//! From options to a client.

use super::client::{Behaviour, Client, Trust};
use super::clock::Clock;
use super::options::LiveOptions;
use super::runtime;
use crate::error::{Error, Result};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// A connection that takes longer to open is refused.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The client that `options` ask for, without connections yet.
///
/// # Errors
/// An option that is no header, a name that is not known, or certificates that cannot be read.
pub(super) async fn client(options: &LiveOptions, clock: &Clock) -> Result<Client> {
    let behaviour = Behaviour {
        reuse: options.reuse,
        stall: options.request_timeout,
        connect: CONNECT_LIMIT.min(options.request_timeout),
        headers: headers(options)?,
    };
    let trust = Trust { cacert: options.cacert.as_deref(), insecure: options.insecure };
    Client::new(options.targets.clone(), &trust, behaviour, clock.clone()).await
}

/// Finds out whether all endpoints can be reached.
///
/// # Errors
/// The first that cannot, or an option that is no header.
pub fn reach(options: &LiveOptions) -> Result<()> {
    runtime::block_on(async {
        let client = client(options, &Clock::start()).await?;
        client.warm(options.targets.len()).await
    })
}

/// Headers of every request.
fn headers(options: &LiveOptions) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if options.body.streaming {
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    }
    if let Some(key) = &options.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| Error::input("--api-key: the key holds characters no header can carry"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in &options.headers {
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::input(format!("--header {name}: its value holds characters no header can carry"))
        })?;
        headers.insert(header_name(name)?, value);
    }
    Ok(headers)
}

/// An option that names a header.
///
/// # Errors
/// Where no header can be called that.
pub(super) fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Error::input(format!("\"{name}\" is no name of an HTTP header")))
}
