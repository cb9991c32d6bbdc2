// Where the README's links lead in the documentation: the first of two definitions counts.
#![cfg_attr(any(doc, doctest), doc = "[guide-driver]: guide::driver")]
#![cfg_attr(any(doc, doctest), doc = "[guide-actions]: guide::actions")]
#![cfg_attr(any(doc, doctest), doc = "[guide-testing]: guide::testing")]
#![cfg_attr(any(doc, doctest), doc = "[guide-migration]: guide::migration")]
#![cfg_attr(any(doc, doctest), doc = "")]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::unreachable,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod action;
#[cfg(feature = "arbitrary")]
pub mod arbitrary;
mod body;
#[cfg(feature = "std")]
mod channel;
mod chunked;
mod config;
mod connection;
mod date;
mod error;
mod exchange;
mod framing;
#[cfg(any(doc, doctest))]
pub mod guide;
mod head;
mod headers;
#[cfg(feature = "http")]
pub mod http;
mod incoming;
mod outgoing;
mod reader;
mod request;
mod response;
mod spare;
mod state;
mod syntax;
mod time;
mod writer;

/// The crate whose `Bytes` and `BytesMut` the events and buffers are.
pub use bytes;

pub use action::{Action, Wait};
#[cfg(feature = "std")]
pub use channel::{Channel, ConnectionGuard, Driver, EndOnDrop};
pub use config::{Config, ConfigBuilder, ConfigError, EarlyResponse, HalfClose, Limits, Timeouts};
pub use connection::Connection;
pub use date::Date;
pub use error::{CloseReason, Limit, Misuse, ProtocolError, SendError};
pub use exchange::{Exchange, ExchangeId, ReceiveEvent, SendEvent};
pub use framing::Version;
pub use headers::{Field, Fields, Headers};
pub use outgoing::Chunks;
pub use request::{Request, TargetForm, decode_path};
#[doc(hidden)]
pub use spare::spare_bytes;
pub use state::Outcome;
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
