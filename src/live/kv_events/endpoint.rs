//! Where a publisher is: `tcp://host:port`, to which we connect, or where it connects to us.
//!
//! A ZMQ publisher may bind or connect, and its subscriber does the other. With
//! `tcp://127.0.0.1:5557` in its configuration vLLM *connects*: then we bind, which is written
//! `bind:tcp://127.0.0.1:5557`. `tcp://*:5557` means to bind as well, on all interfaces.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// We bind, and publishers connect.
    pub bind: bool,
    /// Name or number; `*` = all interfaces.
    host: String,
    port: u16,
}

/// How endpoints are written.
const SYNTAX: &str = "write tcp://HOST:PORT where the worker binds, or bind:tcp://HOST:PORT (or \
                      tcp://*:PORT) where it connects to us";

impl FromStr for Endpoint {
    type Err = Error;

    /// # Errors
    /// Where it is none, in a sentence with the cure.
    fn from_str(text: &str) -> Result<Endpoint> {
        let wrong = |why: &str| {
            Error::input(format!("\"{text}\" is no endpoint of KV events: {why}; {SYNTAX}"))
        };
        let (explicit, address) = match text.strip_prefix("bind:") {
            Some(address) => (true, address),
            None => (false, text),
        };
        let Some(place) = address.strip_prefix("tcp://") else {
            return Err(match address.split_once("://") {
                Some((other, _)) => wrong(&format!("{other} is not supported, only tcp is")),
                None => wrong("tcp:// is missing"),
            });
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port: u16 = port.parse().map_err(|_| wrong("the port is no number up to 65535"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if host.is_empty() || (host.contains([':', '/']) && bracketed.is_none()) {
            return Err(wrong("the host is missing, or an IPv6 address without its brackets"));
        }
        let bind = explicit || host == "*";
        if port == 0 && !bind {
            return Err(wrong("nobody can be reached at port 0"));
        }
        Ok(Endpoint { bind, host: host.to_string(), port })
    }
}

impl Endpoint {
    /// For sockets: `tcp://host:port`.
    pub(crate) fn address(&self) -> String {
        let host = if self.host == "*" { "0.0.0.0" } else { &self.host };
        format!("tcp://{host}:{}", self.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bind = if self.bind && self.host != "*" { "bind:" } else { "" };
        write!(f, "{bind}tcp://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (bool, String, String) {
        let endpoint: Endpoint = text.parse().unwrap();
        (endpoint.bind, endpoint.address(), endpoint.to_string())
    }

    fn refusal(text: &str) -> String {
        text.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn an_address_is_connected_to_and_a_star_or_the_word_binds() {
        for (text, bind, address) in [
            ("tcp://worker-1:5557", false, "tcp://worker-1:5557"),
            ("tcp://[::1]:5557", false, "tcp://[::1]:5557"),
            ("tcp://*:5557", true, "tcp://0.0.0.0:5557"),
            ("bind:tcp://127.0.0.1:0", true, "tcp://127.0.0.1:0"),
        ] {
            assert_eq!(parsed(text), (bind, address.into(), text.into()));
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_how_endpoints_are_written() {
        for (text, why) in [
            ("127.0.0.1:5557", "tcp:// is missing"),
            ("ipc:///tmp/events", "ipc is not supported"),
            ("tcp://127.0.0.1", "the port is missing"),
            ("tcp://host:99999", "no number up to 65535"),
            ("tcp://:5557", "the host is missing"),
            ("tcp://::1:5557", "without its brackets"),
            ("tcp://host:0", "port 0"),
        ] {
            let found = refusal(text);
            assert!(found.contains(why) && found.contains(text), "{found}");
            assert!(found.contains("bind:tcp://HOST:PORT"), "{found}");
        }
    }
}
