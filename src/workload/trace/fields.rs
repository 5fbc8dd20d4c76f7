//! Values of a trace before they are believed: any type is taken in, then checked under its key, so
//! that a message can name the key.

use super::records::echo;
use crate::units::Nanos;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Greatest length in tokens.
pub(super) const MAX_TOKENS: u64 = 2_147_483_647;

/// A value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Loose {
    /// The key is not there.
    #[default]
    Missing,
    /// A whole number that is not negative.
    Whole(u64),
    /// Any other number.
    Real(f64),
    /// Anything else, as shown to the user.
    Other(String),
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loose::Missing => f.write_str("missing"),
            Loose::Whole(value) => value.fmt(f),
            Loose::Real(value) => value.fmt(f),
            Loose::Other(text) => f.write_str(text),
        }
    }
}

impl Loose {
    /// A field of a CSV line.
    pub(super) fn of_text(text: &str) -> Loose {
        if let Ok(value) = text.parse() {
            return Loose::Whole(value);
        }
        match text.parse() {
            Ok(value) => Loose::Real(value),
            Err(_) => Loose::Other(format!("\"{}\"", echo(text))),
        }
    }

    /// The whole number behind `7` and `7.0`.
    fn whole(&self) -> Option<u64> {
        match *self {
            Loose::Whole(value) => Some(value),
            Loose::Real(value) if value.fract() == 0.0 && (0.0..9e15).contains(&value) => {
                Some(value as u64)
            }
            _ => None,
        }
    }

    /// A length in tokens, at least 1.
    pub(super) fn tokens(&self, key: &str) -> Result<u32, String> {
        self.count(key, 1)
    }

    /// A length in tokens that may be 0.
    pub(super) fn tokens_or_none(&self, key: &str) -> Result<u32, String> {
        self.count(key, 0)
    }

    fn count(&self, key: &str, least: u64) -> Result<u32, String> {
        match self.whole() {
            Some(value) if (least..=MAX_TOKENS).contains(&value) => Ok(value as u32),
            _ => Err(format!(
                "{key} is {self}; it must be a whole number from {least} to {MAX_TOKENS}"
            )),
        }
    }

    /// A time counted in units of `unit` nanoseconds.
    pub(super) fn nanos(&self, key: &str, unit: u64) -> Result<Nanos, String> {
        let nanos = match *self {
            Loose::Whole(value) => value.checked_mul(unit),
            Loose::Real(value) => {
                // Seconds since the epoch have more nanoseconds than a float has digits: the whole
                // part and the fraction are scaled one by one.
                let inside = (0.0..1.8e19).contains(&(value * unit as f64));
                let fraction = (value.fract() * unit as f64).round() as u64;
                inside.then(|| value.trunc() as u64 * unit + fraction)
            }
            _ => None,
        };
        nanos.map(Nanos).ok_or_else(|| {
            let unit = if unit == 1_000_000 { "milliseconds" } else { "seconds" };
            format!("{key} is {self}; it must be a number of {unit}, 0 or more")
        })
    }

    /// An identifier: any whole number that fits 64 bits with sign.
    pub(super) fn id(&self, key: &str) -> Result<i64, String> {
        let id = match *self {
            Loose::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i64),
            _ => self.whole().and_then(|value| i64::try_from(value).ok()),
        };
        id.ok_or_else(|| format!("{key} is {self}; it must be a whole number"))
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(u64::try_from(value).map_or(Loose::Real(value as f64), Loose::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Real(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Other(format!("the text \"{}\"", echo(text))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Other(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other("null".into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other("an array".into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other("an object".into()))
    }
}
